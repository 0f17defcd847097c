//! What a Job and its pods say, as one of a few cases. Pure: both conditions are read, counters are not.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::observed::JobView;

/// An image that cannot be pulled for so long will not be.
const IMAGE_PATIENCE_SECONDS: i64 = 60;
/// A pod that does not start for so long will not.
const START_PATIENCE_SECONDS: i64 = 300;

/// Looks at a Job.
#[must_use]
pub fn view(job: &Job, pods: &[Pod], owner_uid: &str, log: Option<String>, now: Timestamp) -> JobView {
    let uid = job.metadata.uid.clone().unwrap_or_default();
    let owners = job.metadata.owner_references.iter().flatten();
    if !owners.clone().any(|owner| owner.uid == owner_uid) {
        let owner = owners.map(|owner| format!("{} {}", owner.kind, owner.name)).next();
        return JobView::Foreign(owner.unwrap_or_else(|| "nobody".to_owned()));
    }
    let conditions = || job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let holds = |name: &str| conditions().find(|condition| condition.type_ == name && condition.status == "True");
    let message = pods.iter().find_map(termination_message);
    if holds("Complete").is_some() {
        return JobView::Succeeded { uid, message };
    }
    if let Some(failed) = holds("Failed") {
        let parts = [failed.reason.clone(), failed.message.clone(), pods.iter().find_map(ended_from_outside)];
        let reason = parts.into_iter().flatten().collect::<Vec<_>>().join(": ");
        return JobView::Failed { uid, reason, message, log };
    }
    let created = job.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
    let age = now.duration_since(created).as_secs();
    JobView::Running { uid, problem: problem(pods, age), progress: None }
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| {
        status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten())
    })
}

fn termination_message(pod: &Pod) -> Option<String> {
    statuses(pod)
        .filter_map(|status| status.state.as_ref()?.terminated.as_ref()?.message.clone())
        .find(|text| !text.is_empty())
}

/// What ended a pod, where that was not its program.
fn ended_from_outside(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    if let Some(reason) = &status.reason {
        return Some(format!("{reason}: {}", status.message.as_deref().unwrap_or_default()));
    }
    let killed = statuses(pod).find(|status| {
        let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
        ended.is_some_and(|ended| ended.reason.as_deref() == Some("OOMKilled"))
    })?;
    Some(format!("the container {:?} used more memory than its limit (OOMKilled)", killed.name))
}

/// Why a pod does not start, once that will not pass by itself.
fn problem(pods: &[Pod], age: i64) -> Option<String> {
    for pod in pods {
        for status in statuses(pod) {
            let Some(waiting) = status.state.as_ref().and_then(|state| state.waiting.as_ref()) else { continue };
            let reason = waiting.reason.as_deref().unwrap_or_default();
            let hopeless = reason == "InvalidImageName";
            let image = matches!(reason, "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull");
            let container =
                matches!(reason, "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError");
            let detail = waiting.message.clone().unwrap_or_default();
            if hopeless || (image && age >= IMAGE_PATIENCE_SECONDS) {
                return Some(format!(
                    "the image {:?} of the container {:?} cannot be pulled ({reason}: {detail}): correct the name, or give the \
                     service account an imagePullSecret",
                    status.image, status.name
                ));
            }
            if container && age >= IMAGE_PATIENCE_SECONDS {
                return Some(format!("the container {:?} cannot be started ({reason}: {detail})", status.name));
            }
        }
    }
    if age < START_PATIENCE_SECONDS {
        return None;
    }
    let Some(pod) = pods.first() else {
        return Some(format!(
            "no pod was created within {START_PATIENCE_SECONDS} s: a quota or an admission policy may refuse it"
        ));
    };
    let status = pod.status.as_ref()?;
    if status.phase.as_deref() != Some("Pending") {
        return None;
    }
    let why = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.status == "False")
        .and_then(|condition| condition.message.clone().or_else(|| condition.reason.clone()))
        .unwrap_or_else(|| "the pod says no reason".to_owned());
    Some(format!("the pod did not start within {START_PATIENCE_SECONDS} s: {why}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn job(conditions: serde_json::Value) -> Job {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "j", "uid": "u", "creationTimestamp": "1970-01-01T00:00:00Z",
                "ownerReferences": [{"apiVersion": "v1", "kind": "SchemaMigration", "name": "m", "uid": "owner"}]},
            "status": {"conditions": conditions}
        }))
        .unwrap()
    }

    fn pulling(reason: &str) -> Pod {
        serde_json::from_value(serde_json::json!({"status": {"phase": "Pending", "containerStatuses": [
            {"name": "backup", "image": "nowhere/mysql:1", "imageID": "", "ready": false, "restartCount": 0,
             "state": {"waiting": {"reason": reason, "message": "not found"}}}]}}))
        .unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn only_the_condition_that_is_true_counts() {
        let both = job(
            serde_json::json!([{"type": "Complete", "status": "False"}, {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]),
        );
        assert!(
            matches!(view(&both, &[], "owner", None, at(1)), JobView::Failed { reason, .. } if reason == "BackoffLimitExceeded")
        );
        let none = job(serde_json::json!([]));
        assert!(matches!(view(&none, &[], "owner", None, at(1)), JobView::Running { problem: None, .. }));
    }

    #[test]
    fn what_ended_a_pod_from_outside_is_told() {
        let failed = job(serde_json::json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]));
        let told = |status: serde_json::Value| {
            let pod: Pod = serde_json::from_value(serde_json::json!({"status": status})).unwrap();
            match view(&failed, &[pod], "owner", None, at(1)) {
                JobView::Failed { reason, .. } => reason,
                other => panic!("{other:?}"),
            }
        };
        let evicted = serde_json::json!({"phase": "Failed", "reason": "Evicted", "message": "exceeds the limit"});
        assert_eq!(told(evicted), "BackoffLimitExceeded: Evicted: exceeds the limit");
        let killed = serde_json::json!({"containerStatuses": [{"name": "verify", "image": "i", "imageID": "", "ready": false,
            "restartCount": 0, "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]});
        assert!(told(killed).contains("\"verify\" used more memory than its limit"));
    }

    #[test]
    fn a_job_of_somebody_else_is_never_taken_for_ours() {
        let complete = job(serde_json::json!([{"type": "Complete", "status": "True"}]));
        assert!(matches!(view(&complete, &[], "other", None, at(1)), JobView::Foreign(_)));
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_named_after_a_minute_and_a_bad_name_at_once() {
        let running = job(serde_json::json!([]));
        let problem = |reason, second| match view(&running, &[pulling(reason)], "owner", None, at(second)) {
            JobView::Running { problem, .. } => problem,
            other => panic!("{other:?}"),
        };
        assert_eq!(problem("ImagePullBackOff", 59), None);
        assert!(problem("ImagePullBackOff", 60).unwrap().contains("nowhere/mysql:1"));
        assert!(problem("InvalidImageName", 0).unwrap().contains("nowhere/mysql:1"));
    }

    #[test]
    fn a_pod_that_never_starts_is_noticed() {
        let running = job(serde_json::json!([]));
        assert!(matches!(view(&running, &[], "owner", None, at(300)), JobView::Running { problem: Some(_), .. }));
    }
}
