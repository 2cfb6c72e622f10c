//! The report for machines that run tests: JUnit's XML.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::super::Outcome;
use super::super::verdict::Verdict;

/// One suite, a case a step.
pub fn document(outcome: &Outcome) -> anyhow::Result<String> {
    let mut suite = TestSuite::new(outcome.name.as_str());
    for step in &outcome.steps {
        let mut status = match step.verdict {
            Verdict::Passed => TestCaseStatus::success(),
            Verdict::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
            Verdict::NotApplicable => TestCaseStatus::skipped(),
        };
        if step.verdict != Verdict::Passed {
            status.set_message(step.reasons.join("; "));
        }
        if let Some(story) = &step.story {
            status.set_description(story.as_str());
        }
        let mut case = TestCase::new(step.name.as_str(), status);
        case.set_classname(step.clause.as_str()).set_time(Duration::from_secs_f64(step.lasted_s));
        suite.add_test_case(case);
    }
    let mut report = Report::new(outcome.name.as_str());
    report.set_time(Duration::from_secs_f64(outcome.lasted_s)).add_test_suite(suite);
    Ok(report.to_string()?)
}
