//! On which line of a YAML file a field stands: values are read by serde, which does not tell.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser};

/// The lines of the fields of each document of a file, by their paths (`spec.gates[0].before`; the document itself has the empty path).
/// Of a file that is no YAML: those up to where it breaks off, since what is wrong there is told by who reads the values.
#[must_use]
pub(super) fn of_documents(text: &str) -> Vec<BTreeMap<String, usize>> {
    let mut documents = Vec::new();
    let mut places: Vec<Place> = Vec::new();
    for (event, span) in Parser::new_from_str(text).map_while(Result::ok) {
        let line = span.start.line();
        if matches!(event, Event::DocumentStart(_)) {
            documents.push(BTreeMap::new());
            places.clear();
            continue;
        }
        let Some(lines) = documents.last_mut() else { continue };
        match event {
            Event::Scalar(value, ..) => {
                if let Some(Place::Mapping { path, key: key @ None }) = places.last_mut() {
                    let name = if path.is_empty() { value.into_owned() } else { format!("{path}.{value}") };
                    lines.insert(name.clone(), line);
                    *key = Some(name);
                } else {
                    lines.entry(enter(&mut places)).or_insert(line);
                }
            }
            Event::Alias(_) => {
                lines.entry(enter(&mut places)).or_insert(line);
            }
            Event::MappingStart(..) => {
                let path = enter(&mut places);
                lines.entry(path.clone()).or_insert(line);
                places.push(Place::Mapping { path, key: None });
            }
            Event::SequenceStart(..) => {
                let path = enter(&mut places);
                lines.entry(path.clone()).or_insert(line);
                places.push(Place::Sequence { path, next: 0 });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                places.pop();
            }
            _ => {}
        }
    }
    documents
}

/// The line of a field, or of the nearest one around it that is there.
#[must_use]
pub(super) fn line(lines: &BTreeMap<String, usize>, path: &str) -> Option<usize> {
    let mut path = path;
    loop {
        if let Some(line) = lines.get(path) {
            return Some(*line);
        }
        if path.is_empty() {
            return None;
        }
        path = &path[..path.rfind(['.', '[']).unwrap_or(0)];
    }
}

/// Where in the document the parser is.
enum Place {
    /// In a mapping, and after the key of this path where one is open.
    Mapping { path: String, key: Option<String> },
    /// In a sequence, before the item of this number.
    Sequence { path: String, next: usize },
}

/// The path of the value that begins here.
fn enter(places: &mut [Place]) -> String {
    match places.last_mut() {
        Some(Place::Mapping { path, key }) => key.take().unwrap_or_else(|| path.clone()),
        Some(Place::Sequence { path, next }) => {
            *next += 1;
            format!("{path}[{}]", *next - 1)
        }
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a comment\nkind: One\nspec:\n  gates:\n  - before: {phase: CleanUp}\n  - before:\n      stage: users\n    approval: Required\n---\nkind: Two\n";

    #[test]
    fn fields_of_every_style_have_their_lines_in_each_document() {
        let documents = of_documents(TEXT);
        assert_eq!(documents.len(), 2);
        let first = |path| documents[0].get(path).copied();
        assert_eq!(first("spec.gates[0].before.phase"), Some(5));
        assert_eq!(first("spec.gates[1].before.stage"), Some(7));
        assert_eq!(first("spec.gates[1]"), Some(6));
        assert_eq!(first("spec.gates[1].approval"), Some(8));
        assert_eq!(documents[1].get("kind"), Some(&10));
    }

    #[test]
    fn a_field_that_is_missing_is_looked_for_where_it_would_stand() {
        let documents = of_documents(TEXT);
        assert_eq!(line(&documents[0], "spec.gates[1].window.start"), Some(6));
        assert_eq!(line(&documents[0], "metadata.name"), Some(2));
        assert_eq!(line(&BTreeMap::new(), "spec"), None);
    }
}
