//! Tables for a terminal.

use super::humane;

/// Most characters of one cell; `--json` has all of them.
const CELL_CHARS_MAX: usize = 72;

/// Rows below their heads, columns as wide as their widest cell. All cells may come from strangers.
pub fn render<const COLUMNS: usize>(heads: [&str; COLUMNS], rows: &[[String; COLUMNS]]) -> String {
    let shown: Vec<[String; COLUMNS]> =
        rows.iter().map(|row| row.each_ref().map(|cell| humane::safe(cell, CELL_CHARS_MAX))).collect();
    let heads = heads.map(str::to_owned);
    let lines = || std::iter::once(&heads).chain(&shown);
    let mut widths = [0; COLUMNS];
    for row in lines() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut out = String::new();
    for row in lines() {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_end_without_blanks() {
        let rows = [["alice".to_owned(), "1".to_owned()], ["b".to_owned(), "22".to_owned()]];
        assert_eq!(render(["NAME", "CALLS"], &rows), "NAME   CALLS\nalice  1\nb      22\n");
    }
}
