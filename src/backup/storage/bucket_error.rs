//! What an S3 service refused, in words that name the field and the way out. Only its code and message are told: the rest of an answer
//! repeats the request.

use super::bucket_http::Refusal;

/// The fields of the specification that describe the bucket.
const FIELD: &str = "spec.backup.job.destination.s3";

/// What of the bucket a message names.
pub(super) struct About<'a> {
    pub(super) bucket: &'a str,
    pub(super) region: &'a str,
    pub(super) endpoint: &'a str,
}

/// A refusal in words.
pub(super) fn explain(doing: &str, about: &About<'_>, refusal: &Refusal) -> String {
    let About { bucket, region, endpoint } = about;
    let Refusal { status, code, message, .. } = refusal;
    let said = match (code.is_empty(), message.is_empty()) {
        (true, _) => format!("status {status}"),
        (false, true) => code.clone(),
        (false, false) => format!("{code}: {message}"),
    };
    let elsewhere = refusal.region.as_deref().filter(|found| found != region);
    let way_out = match (code.as_str(), status) {
        (_, 301 | 307)
        | ("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException", _) => {
            match elsewhere {
                Some(found) => {
                    format!("the bucket is in the region {found:?}, and {FIELD}.region is {region:?}: correct it")
                }
                None => format!("the bucket is in another region than {FIELD}.region, {region:?}, says: correct it"),
            }
        }
        ("NoSuchBucket", _) => format!(
            "there is no bucket {bucket:?} at {endpoint}: create it, or correct {FIELD}.bucket or {FIELD}.endpoint"
        ),
        ("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "ExpiredToken", _) => format!(
            "the service does not accept the credentials: correct the keys accessKeyId and secretAccessKey (and sessionToken, if there is one) of \
             the Secret that {FIELD}.credentialsSecretRef names"
        ),
        ("RequestTimeTooSkewed" | "RequestExpired", _) => format!(
            "the clocks of the node and of the service differ too much{}: set them by NTP",
            refusal.date.as_ref().map(|date| format!(" (the service's says {date})")).unwrap_or_default()
        ),
        ("AccessDenied", _) | (_, 401 | 403) => format!(
            "the credentials of {FIELD}.credentialsSecretRef do not allow this: on the bucket {bucket:?} they need s3:ListBucket, \
             s3:ListBucketMultipartUploads, s3:GetObject, s3:PutObject, s3:AbortMultipartUpload and s3:DeleteObject"
        ),
        (_, 412) => "an object of this name exists already, and nothing is overwritten".to_owned(),
        (_, 404) => "it is not there".to_owned(),
        (_, 507) => "the service has no more space".to_owned(),
        (_, 500..) => "the service failed, and kept failing while the request was repeated".to_owned(),
        _ => format!("look whether the service at {endpoint} speaks S3"),
    };
    format!("{doing}: {way_out} ({said})")
}

/// A request that came to no answer.
pub(super) fn unreachable(doing: &str, about: &About<'_>, patience: u64, error: &str) -> String {
    let About { bucket, endpoint, .. } = about;
    if error.contains("certificate") {
        return format!(
            "{doing}: the certificate of {endpoint} is not trusted ({error}): name its authority with {FIELD}.caSecretRef, or correct \
             {FIELD}.endpoint"
        );
    }
    format!(
        "{doing}: no answer from {endpoint} for the bucket {bucket:?}, although it was tried for {patience} s ({error}): is {FIELD}.endpoint right, \
         does the service run, and may the Job's pod reach it (NetworkPolicies, firewalls)?"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, code: &str) -> String {
        let refusal = Refusal {
            status,
            code: code.to_owned(),
            message: "as it says".to_owned(),
            region: Some("eu-west-1".to_owned()),
            date: Some("Sun, 29 Nov 2026 07:00:00 GMT".to_owned()),
        };
        let about = About { bucket: "dumps", region: "us-east-1", endpoint: "https://s3.test" };
        explain("writing s3://dumps/a", &about, &refusal)
    }

    #[test]
    fn each_refusal_names_the_field_and_the_way_out() {
        let cases = [
            (404, "NoSuchBucket", "no bucket \"dumps\" at https://s3.test: create it"),
            (403, "AccessDenied", "s3:PutObject"),
            (403, "", "credentialsSecretRef do not allow this"),
            (403, "InvalidAccessKeyId", "accessKeyId and secretAccessKey"),
            (403, "SignatureDoesNotMatch", "does not accept the credentials"),
            (403, "RequestTimeTooSkewed", "the service's says Sun, 29 Nov 2026 07:00:00 GMT): set them by NTP"),
            (
                301,
                "PermanentRedirect",
                "is in the region \"eu-west-1\", and spec.backup.job.destination.s3.region is \"us-east-1\"",
            ),
            (400, "AuthorizationHeaderMalformed", "\"eu-west-1\""),
            (412, "PreconditionFailed", "nothing is overwritten"),
            (503, "SlowDown", "kept failing"),
        ];
        for (status, code, text) in cases {
            let told = told(status, code);
            assert!(told.starts_with("writing s3://dumps/a: ") && told.contains(text), "{code}: {told}");
        }
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_told_apart_from_a_server_that_is_away() {
        let about = About { bucket: "dumps", region: "us-east-1", endpoint: "https://s3.test" };
        assert!(unreachable("writing", &about, 5, "invalid peer certificate: UnknownIssuer").contains("caSecretRef"));
        let away = unreachable("writing", &about, 5, "connection refused");
        assert!(away.contains("for 5 s") && away.contains("NetworkPolicies"), "{away}");
    }
}
