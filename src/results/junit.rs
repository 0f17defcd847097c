//! Reads results in the form of JUnit: each `testcase`, wherever it is nested, counts, and what is inside it says how it went. The counts
//! that suites carry as attributes are not looked at: not every tool writes them, and some write them wrong.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::api::status::TestResults;

/// Tests that failed and are named.
const NAMED: usize = 5;
/// Longest name that is kept, in characters.
const MAX_NAME: usize = 120;

/// Adds what a file says.
///
/// # Errors
/// What is wrong with it.
pub(super) fn add(text: &str, results: &mut TestResults) -> Result<(), String> {
    let mut reader = Reader::from_str(text);
    let mut suites = 0;
    let mut open = 0_usize;
    // The test that is open, and how it went so far.
    let mut case: Option<Case> = None;
    loop {
        let (element, is_empty) = match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(element) => (element, false),
            Event::Empty(element) => (element, true),
            Event::End(element) => {
                open = open.saturating_sub(1);
                if element.name().as_ref() == b"testcase"
                    && let Some(case) = case.take()
                {
                    case.count(results);
                }
                continue;
            }
            Event::Eof if open > 0 => return Err("ends in the middle".to_owned()),
            Event::Eof if suites == 0 => {
                return Err("has no testsuite: these are no results in the form of JUnit".to_owned());
            }
            Event::Eof => return Ok(()),
            _ => continue,
        };
        open += usize::from(!is_empty);
        match element.name().as_ref() {
            b"testsuite" | b"testsuites" => suites += 1,
            b"testcase" => {
                let begun = Case { name: name(&element)?, ..Case::default() };
                if is_empty {
                    begun.count(results);
                } else {
                    case = Some(begun);
                }
            }
            b"failure" | b"error" => case.iter_mut().for_each(|case| case.failed = true),
            b"skipped" => case.iter_mut().for_each(|case| case.skipped = true),
            _ => {}
        }
    }
}

#[derive(Default)]
struct Case {
    name: String,
    failed: bool,
    skipped: bool,
}

impl Case {
    fn count(self, results: &mut TestResults) {
        results.tests += 1;
        if self.failed {
            results.failed += 1;
            if results.failures.len() < NAMED {
                results.failures.push(self.name);
            }
        } else if self.skipped {
            results.skipped += 1;
        }
    }
}

fn name(element: &BytesStart<'_>) -> Result<String, String> {
    let Some(attribute) = element.try_get_attribute("name").map_err(|error| error.to_string())? else {
        return Err("a testcase has no name".to_owned());
    };
    let name = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
    Ok(name.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(MAX_NAME).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Result<TestResults, String> {
        let mut results = TestResults::default();
        add(text, &mut results).map(|()| results)
    }

    #[test]
    fn tests_count_wherever_they_are_nested_whatever_the_suites_say_of_themselves() {
        // As node --test-reporter=junit, surefire and pytest write them.
        let text = r#"<?xml version="1.0" encoding="utf-8"?>
<testsuites>
	<testcase name="a user&apos;s own &amp; nobody else&apos;s" time="0.1" classname="test"/>
	<testsuite name="keys" tests="99" failures="0">
		<testcase name="a county" time="0.1" classname="test" failure="409 !== 204">
			<failure type="testCodeFailure" message="409 !== 204">[Error &lt;testcase&gt;] <![CDATA[<testcase name="no"/>]]></failure>
		</testcase>
		<testcase name="not today"><skipped type="skipped" message="true"/></testcase>
		<testcase name="broken"><error>boom</error><system-out>said</system-out></testcase>
	</testsuite>
	<!-- tests 4 -->
</testsuites>"#;
        let failures = vec!["a county".to_owned(), "broken".to_owned()];
        assert_eq!(read(text), Ok(TestResults { tests: 4, failed: 2, skipped: 1, failures }));
        assert_eq!(read("<testsuites/>"), Ok(TestResults::default()));
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_no_result() {
        for text in [
            "",
            "<testsuite><testcase name='one'/>",
            "<testsuite><testcase name='one'></testsuite>",
            "<html/>",
            "tests: 3",
        ] {
            assert!(read(text).is_err(), "{text:?}: {:?}", read(text));
        }
        assert!(read("<testsuite><testcase/></testsuite>").unwrap_err().contains("no name"));
    }

    #[test]
    fn few_failures_are_named_and_no_long_name_is_kept() {
        let case = format!("<testcase name=\"{}\nx\"><failure/></testcase>", "é".repeat(200));
        let results = read(&format!("<testsuite>{}</testsuite>", case.repeat(9))).unwrap();
        assert_eq!((results.tests, results.failed, results.failures.len()), (9, 9, NAMED));
        assert!(results.failures.iter().all(|name| name.chars().count() == MAX_NAME));
    }
}
