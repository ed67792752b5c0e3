//! `docs/promises.md` against the tests: a listed row needs a test that names it, and a test may name only listed rows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[test]
fn every_promise_has_a_test_and_every_test_a_promise() {
    let promises = promised();
    assert!(!promises.is_empty(), "docs/promises.md lists no row");
    let tests = named();
    for row in &promises {
        assert!(
            tests.contains_key(row),
            "docs/promises.md lists {row}, but no test's name begins with `{}_`. Write one or take the row out.",
            row.to_lowercase()
        );
    }
    for (row, test) in &tests {
        assert!(
            promises.contains(row),
            "the test {test} names {row}, which docs/promises.md does not list. Add the row or rename the test."
        );
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository")
}

/// The ids in the first column of the table.
fn promised() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("docs/promises.md")).expect("docs/promises.md");
    let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    cells.filter(|cell| is_row(cell)).map(str::to_owned).collect()
}

/// One letter of an area and one or two digits.
fn is_row(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|area| "PDLVGCTSA".contains(area))
        && (2..=3).contains(&text.len())
        && letters.all(|letter| letter.is_ascii_digit())
}

/// Row ids found in test names, each with one test that names it.
fn named() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for folder in ["daemon", "protocol", "agent", "tests", "gui/src"] {
        let mut files = Vec::new();
        collect(&root().join(folder), &mut files);
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let shown = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
            for name in test_names(&text) {
                let row = name.split(['_', ' ']).next().unwrap_or_default().to_uppercase();
                if is_row(&row) {
                    found.entry(row).or_insert(format!("`{name}` in {shown}"));
                }
            }
        }
    }
    found
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if name != "node_modules" && name != "target" && name != "dist" {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|end| end == "rs" || end == "ts") {
            files.push(path);
        }
    }
}

/// `fn name` below a `#[test]` or `#[tokio::test…]` line, and `test("name"` in the browser tests.
fn test_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut marked = false;
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if marked && let Some((_, after)) = line.split_once("fn ") {
            names.extend(after.split('(').next().map(str::to_owned));
            marked = false;
        } else if let Some(after) =
            line.strip_prefix("test(\"").or_else(|| line.strip_prefix("it(\""))
        {
            names.extend(after.split('"').next().map(str::to_owned));
        }
    }
    names
}
