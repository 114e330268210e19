//! Limits of the process that the operating system sets.

/// Number of the signal on Linux; macOS has the same.
const SIGXFSZ: i32 = 25;

/// Lets a file-size limit (`ulimit -f`) come back from a write as an error, like a full disk: by default the
/// signal that announces it ends the process.
pub(crate) fn report_file_size_limit() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _in_runtime = runtime.enter();
    // The handler stays for the life of the process, whoever listens.
    let _listener = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(SIGXFSZ))?;
    Ok(())
}

/// Asks for as many open files as the process may have: a store holds one for each of its tables, and what a shell gives
/// at first is often 1,024. Without that right the limit stays as it is, and a store that meets it says so (STL-0205).
pub(crate) fn raise_open_files() {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_may_open_what_the_system_allows() {
        let allowed = || rlimit::getrlimit(rlimit::Resource::NOFILE).expect("the system tells its limits");
        let (_, hard) = allowed();
        rlimit::setrlimit(rlimit::Resource::NOFILE, 256.min(hard), hard).expect("a lower limit is allowed");
        raise_open_files();
        assert_eq!(allowed().0, hard);
    }
}
