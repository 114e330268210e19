use super::tests::world::big;
#[test]
fn probe() {
    let read = big(50_000);
    let rss = || std::fs::read_to_string("/proc/self/status").unwrap().lines().filter(|l| l.starts_with("VmRSS") || l.starts_with("VmHWM")).map(str::to_owned).collect::<Vec<_>>();
    println!("built {:?}", rss());
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    #[allow(clippy::disallowed_methods)]
    let start = std::time::Instant::now();
    let verdict = super::judge(&read);
    println!("{:?} {:?}\n{verdict}", start.elapsed(), rss());
}
