//! The page about the state diagram is the one that the table gives.

use holdfast::api::state_diagram::page;

#[test]
fn the_page_about_the_state_diagram_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/state-diagram.md");
    if std::env::var_os("HOLDFAST_UPDATE").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(stored == page(), "docs/state-diagram.md is not current: run this test with HOLDFAST_UPDATE=1");
}
