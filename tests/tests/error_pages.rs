//! Every error code has a page in docs/errors/, and every page a code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use settle_tests::{files_of, workspace};

const SECTIONS: [&str; 4] = ["## What it means", "## What was done", "## Find the cause", "## What to do"];

/// Codes that stand in a text: `STL-` and four digits.
fn codes_in(text: &str) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for (start, _) in text.match_indices("STL-") {
        let Some(code) = text.get(start..start + 8) else { continue };
        let is_longer = text[start + 8..].starts_with(|character: char| character.is_ascii_digit());
        if code[4..].bytes().all(|byte| byte.is_ascii_digit()) && !is_longer {
            codes.insert(code.to_owned());
        }
    }
    codes
}

/// Codes in the sources of the product, with a file that names them.
fn codes_of_sources() -> BTreeMap<String, PathBuf> {
    let mut codes = BTreeMap::new();
    for entry in fs::read_dir(workspace().join("crates")).expect("the crates can be listed") {
        let sources = entry.expect("the crates can be listed").path().join("src");
        for (path, bytes) in files_of(&sources) {
            let text = String::from_utf8_lossy(&bytes);
            // "Owns the codes STL-0101 to STL-0199": the end of a range is no error.
            for line in text.lines().filter(|line| !line.contains(" to STL-")) {
                codes.extend(codes_in(line).into_iter().map(|code| (code, path.clone())));
            }
        }
    }
    codes
}

fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    for (path, bytes) in files_of(&workspace().join("docs/errors")) {
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a page has a name").to_owned();
        pages.insert(name, String::from_utf8(bytes).expect("a page is text"));
    }
    pages
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let codes = codes_of_sources();
    assert!(codes.len() >= 40, "the sources were not found: {} codes", codes.len());
    let mut pages = pages();
    let index = pages.remove("README").expect("docs/errors/README.md is the index");
    for (code, path) in &codes {
        assert!(pages.contains_key(code), "{} names {code}, which has no page", path.display());
    }
    for (name, page) in &pages {
        assert!(codes.contains_key(name), "docs/errors/{name}.md explains a code that no source names");
        assert!(page.starts_with(&format!("# {name}: ")), "{name}: the title names the code");
        for section in SECTIONS {
            assert!(page.contains(section), "{name}: has no section {section:?}");
        }
        assert!(index.contains(&format!("[{name}]({name}.md)")), "{name}: the index has no link to it");
        for other in codes_in(page) {
            assert!(codes.contains_key(&other), "{name}: names {other}, which no source has");
        }
    }
    let in_index = codes_in(&index);
    assert_eq!(in_index, pages.keys().cloned().collect(), "codes of the index");
}

#[test]
fn links_of_the_pages_lead_somewhere() {
    let folder = workspace().join("docs/errors");
    for (name, page) in pages() {
        for (_, rest) in page.match_indices("](").map(|(start, _)| page.split_at(start + 2)) {
            let target = rest.split([')', '#']).next().unwrap_or_default();
            let is_file = target.is_empty() || folder.join(Path::new(target)).is_file();
            assert!(is_file || target.starts_with("http"), "{name}: {target} leads nowhere");
        }
    }
}
