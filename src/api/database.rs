//! Where the database is and how it is reached.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reference::{KeyReference, LocalReference};

/// The MySQL schema that is migrated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// Host name or address of the server that takes writes. A name without a dot is a Service of the migration's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// TCP port. Default 3306.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Name of the MySQL schema (database).
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// Secret of this namespace with the keys `username` and `password` of the account that migrates.
    pub credentials_secret_ref: LocalReference,
    /// How the connection is protected. Left out: VerifyIdentity, with the system's certificate authorities.
    #[serde(default)]
    pub tls: Tls,
    /// Replicas of this server: lag, blockers and the proof are read there too, with the same account and TLS. A replica that the server reports and that is not listed here holds the migration, and so does a listed one that cannot be read. Needs gtid_mode ON.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["host", "port"]))]
    pub replicas: Vec<Replica>,
}

/// A replica of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replica {
    /// Host name or address; a name without a dot is a Service of the migration's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// TCP port. Default 3306.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

/// How the connection to MySQL is protected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "!has(self.caSecretRef) || self.mode in ['VerifyIdentity', 'VerifyCA']", "message": "caSecretRef is of no use with mode Required or Disabled, which check no certificate: remove it, or use VerifyIdentity or VerifyCA"}]))]
pub struct Tls {
    /// VerifyIdentity (default) checks the certificate and the host name in it; VerifyCA the certificate only, which public authorities give to
    /// anybody, for names of their own; Required encrypts
    /// without checking; Disabled sends everything, the password included, in the clear. Anything less than VerifyIdentity is said in the message of condition Planned.
    #[serde(default)]
    pub mode: TlsMode,
    /// Key of a Secret of this namespace that holds the certificate authority in PEM. Left out: the system's certificate authorities. The public ones (Mozilla's list) count in either case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<KeyReference>,
}

/// What is checked about the server's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// Encrypted; the certificate is checked and must carry the host name.
    #[default]
    VerifyIdentity,
    /// Encrypted; the certificate is checked, the host name in it is not.
    VerifyCA,
    /// Encrypted; nothing is checked.
    Required,
    /// Not encrypted.
    Disabled,
}

fn default_port() -> i32 {
    3306
}
