//! The plugin's requests: who may make them, and how the operator's answer is told. The test writes the answers, as the operator would.

use holdfast::api::Reason;
use holdfast::api::steering::{SteeringAction, SteeringAnswer, next_request};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::cluster::eventually;
use crate::plugin::{CAROL, Scene, condition};
use crate::users::{APPROVE, WRITE_MIGRATIONS};

/// Answers the next request of the migration.
async fn answer(scene: &Scene, accepted: bool, message: &str) -> SteeringAction {
    eventually("a request", async || next_request(&scene.read().await).map(|_| ()).ok_or_else(|| "none".to_owned()))
        .await;
    let request = next_request(&scene.read().await).unwrap();
    scene
        .write(|status| {
            status.last_handled.acknowledge(request.action, &request.token);
            status.steering = vec![SteeringAnswer {
                action: request.action,
                token: request.token.clone(),
                accepted,
                message: message.to_owned(),
                at: Time(Timestamp::now()),
            }];
        })
        .await;
    request.action
}

#[tokio::test]
async fn a_request_is_made_and_its_answer_told() {
    let scene = Scene::new(&[WRITE_MIGRATIONS, APPROVE]).await;
    let cases = [
        ("retry", SteeringAction::Retry, true),
        ("replan", SteeringAction::Replan, false),
        ("abort", SteeringAction::Abort, true),
        ("rollback", SteeringAction::Rollback, false),
        ("purge", SteeringAction::Purge, true),
    ];
    for (verb, action, accepted) in cases {
        let mut arguments = vec![verb, "minimal", "--timeout", "60s"];
        if ["abort", "rollback", "purge"].contains(&verb) {
            arguments.push("--yes");
        }
        let (told, asked) = tokio::join!(scene.run(&arguments), answer(&scene, accepted, "as the operator says"));
        let (code, out, err) = told;
        assert_eq!(asked, action);
        if accepted {
            assert_eq!((code, out), (0, format!("{action} accepted: as the operator says\n")), "{err}");
        } else {
            assert_eq!((code, err), (1, format!("kubectl holdfast: {action} refused: as the operator says\n")));
        }
    }
}

#[tokio::test]
async fn what_cannot_be_taken_back_is_confirmed_by_a_person() {
    let scene = Scene::new(&[WRITE_MIGRATIONS, APPROVE]).await;
    for verb in ["abort", "rollback", "purge"] {
        let (code, _, err) = scene.run(&[verb, "minimal"]).await;
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("minimal in") && err.contains("add --yes to agree beforehand"), "{err}");
    }
    assert_eq!(next_request(&scene.read().await), None);
}

#[tokio::test]
async fn a_request_without_an_answer_says_what_it_waited_for() {
    let scene = Scene::new(&[WRITE_MIGRATIONS, APPROVE]).await;
    let (code, _, err) = scene.run(&["retry", "minimal", "--timeout", "1s"]).await;
    assert_eq!(code, 4, "{err}");
    assert!(err.contains("waited 1 s for an answer to Retry") && err.contains("WAITS FOR APPROVAL"), "{err}");
    assert!(next_request(&scene.read().await).is_some(), "the request stands");
}

#[tokio::test]
async fn who_may_not_steer_is_told_which_right_is_missing() {
    let scene = Scene::new(&[WRITE_MIGRATIONS]).await;
    for arguments in [&["retry", "minimal"][..], &["suspend", "minimal"], &["purge", "minimal", "--yes"]] {
        let (code, _, err) = scene.run(arguments).await;
        assert_eq!(code, 3, "{err}");
        assert!(err.contains("needs the verb approve") && err.contains(CAROL), "{err}");
    }
}

#[tokio::test]
async fn a_migration_is_suspended_and_resumed_once_the_operator_has_noticed() {
    let scene = Scene::new(&[WRITE_MIGRATIONS, APPROVE]).await;
    for (verb, suspended, reason, word) in [
        ("suspend", true, Reason::Suspended, "SUSPENDED: noticed"),
        ("resume", false, Reason::Progressing, "AT WORK: noticed"),
    ] {
        let noticed = async {
            eventually(verb, async || {
                let seen = scene.read().await.spec.suspend;
                (seen == suspended).then_some(()).ok_or_else(|| format!("spec.suspend is {seen}"))
            })
            .await;
            scene
                .write(|status| {
                    status.message = Some("noticed".to_owned());
                    status.conditions = vec![condition("Ready", "Unknown", reason, "noticed")];
                })
                .await;
        };
        let arguments = [verb, "minimal", "--timeout", "60s"];
        let ((code, out, err), ()) = tokio::join!(scene.run(&arguments), noticed);
        assert_eq!((code, out.trim_end()), (0, word), "{err}");
    }
}
