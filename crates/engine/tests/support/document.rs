//! Reads tables, code blocks and amounts out of a page of the documentation.

/// A table of a page.
#[derive(Clone, Debug)]
pub struct Table {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// Every table, in the order of the page. Emphasis and code marks are taken off the cells.
pub fn tables(page: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        let Some(inner) = line.strip_prefix('|').and_then(|rest| rest.strip_suffix('|')) else {
            is_inside = false;
            continue;
        };
        let cells: Vec<String> =
            inner.split('|').map(|cell| cell.trim().trim_matches(['`', '*']).to_owned()).collect();
        let is_rule =
            cells.iter().all(|cell| !cell.is_empty() && cell.chars().all(|mark| "-:".contains(mark)));
        match tables.last_mut().filter(|_| is_inside) {
            None => tables.push(Table { header: cells, rows: Vec::new() }),
            Some(_) if is_rule => {}
            Some(table) => {
                assert_eq!(cells.len(), table.header.len(), "a row has a cell for each column: {line}");
                table.rows.push(cells);
            }
        }
        is_inside = true;
    }
    tables
}

/// The rows of all tables with this header, in the order of the page.
pub fn rows_under(tables: &[Table], header: &[&str]) -> Vec<Vec<String>> {
    tables.iter().filter(|table| table.header == header).flat_map(|table| table.rows.clone()).collect()
}

/// The first code block of a language.
pub fn code_block<'a>(page: &'a str, language: &str) -> &'a str {
    let start = page.find(&format!("```{language}\n")).expect("the page has such a block");
    let block = &page[start + language.len() + 4..];
    &block[..block.find("```").expect("the block ends")]
}

/// An amount with so many decimals, in units of its last decimal: `-5.22` is -522.
pub fn units(text: &str, decimals: usize) -> i64 {
    let (whole, fraction) =
        text.split_once('.').unwrap_or_else(|| panic!("{text:?}: an amount has decimals"));
    assert_eq!(fraction.len(), decimals, "{text:?}: {decimals} decimals");
    format!("{whole}{fraction}").parse().unwrap_or_else(|_| panic!("{text:?}: an amount"))
}

/// An amount in cents.
pub fn cents(text: &str) -> i64 {
    units(text, 2)
}

/// Cents as the page writes them.
pub fn written(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
}
