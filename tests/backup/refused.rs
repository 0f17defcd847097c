//! What is wrong with a bucket, its credentials or its address is told before the database has any work of it, by the field that is to be
//! corrected.

use std::fs;
use std::net::TcpListener;

use crate::job::Place;
use crate::s3::GUEST;

/// A backup that is refused before mysqldump is started.
fn refused(place: &Place, texts: &[&str]) {
    let started = place.path("started");
    place.mysqldump(&format!("touch '{started}'; cat '{}'", place.path("dump.sql")));
    place.fails(place.run(place.backup(1)), texts);
    assert!(fs::metadata(&started).is_err(), "the database has had no work of it");
    assert_eq!(place.stored(), (Vec::new(), Vec::new()));
}

#[test]
fn an_account_without_rights_is_told_which_ones_it_needs() {
    let mut place = Place::new("guest");
    place.account = GUEST;
    refused(&place, &["s3.credentialsSecretRef do not allow this", "s3:PutObject", "AccessDenied"]);
}

#[test]
fn wrong_keys_are_told() {
    let mut place = Place::new("keys");
    place.account = ("holdfast-owner", "another secret key");
    refused(&place, &["accessKeyId and secretAccessKey", "SignatureDoesNotMatch"]);
    place.account = ("nobody", "another secret key");
    refused(&place, &["accessKeyId and secretAccessKey", "InvalidAccessKeyId"]);
}

#[test]
fn a_secret_without_a_key_is_told() {
    let mut place = Place::new("half");
    place.instead = vec![format!("--bucket-credentials={}", place.path("credentials"))];
    refused(&place, &["credentialsSecretRef has no key \"accessKeyId\": add it"]);
}

#[test]
fn a_bucket_that_is_missing_is_told() {
    let mut place = Place::new("missing");
    place.instead = vec!["--bucket=nowhere".to_owned()];
    refused(&place, &["no bucket \"nowhere\"", "create it", "s3.bucket"]);
}

#[test]
fn another_region_is_told() {
    let mut place = Place::new("region");
    place.instead = vec!["--region=eu-west-1".to_owned()];
    refused(&place, &["spec.backup.job.destination.s3.region", "\"eu-west-1\"", "correct it"]);
}

#[test]
fn an_endpoint_where_nothing_listens_is_told_within_the_deadline() {
    let mut place = Place::new("nowhere");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    place.instead = vec![format!("--endpoint=http://127.0.0.1:{port}")];
    let began = std::time::Instant::now();
    refused(&place, &["no answer from http://127.0.0.1", "s3.endpoint right", "NetworkPolicies"]);
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

#[test]
fn an_endpoint_that_answers_nothing_is_told_within_the_deadline() {
    let mut place = Place::new("silent");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    place.instead = vec![format!("--endpoint=http://{}", silent.local_addr().unwrap())];
    refused(&place, &["no answer from http://127.0.0.1", "no answer within"]);
}

#[test]
fn a_certificate_of_an_authority_of_ones_own_is_trusted_where_it_is_named_and_only_there() {
    let mut place = Place::encrypted("tls");
    place.instead = vec![format!("--bucket-certificate-authority={}", place.server.certificate().display())];
    place.made(1);
    let plain = Place::encrypted("untrusted");
    // Where the machine has no authorities at all, that is what is told.
    let told = plain.fails(plain.run(plain.backup(1)), &["s3.caSecretRef"]);
    assert!(told.contains("certificate"), "{told}");
    assert_eq!(plain.stored().0, Vec::<String>::new());
}
