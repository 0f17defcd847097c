//! Service accounts with their own tokens: what a program in a pod is to the API server.

use std::path::PathBuf;
use std::{env, fs};

use serde_json::{Value, json};

use crate::cluster::{Cluster, administrator, with_input};

/// A service account, and a kubeconfig by which a program is it. The file goes with this.
pub(crate) struct Account {
    pub(crate) kubeconfig: PathBuf,
}

impl Drop for Account {
    fn drop(&mut self) {
        fs::remove_file(&self.kubeconfig).unwrap();
    }
}

impl Account {
    /// The kubeconfig of an account that is there.
    pub(crate) async fn new(cluster: &Cluster, name: &str) -> Self {
        let token = with_input("kubectl", &["create", "token", name, "--namespace", &cluster.namespace], "").unwrap();
        let path = administrator();
        let mut config: Value = serde_yaml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        config["users"][0]["user"] = json!({"token": token.trim()});
        config["contexts"][0]["context"]["namespace"] = json!(cluster.namespace);
        if let Some(relative) = config["clusters"][0]["cluster"]["certificate-authority"].as_str().map(str::to_owned) {
            config["clusters"][0]["cluster"]["certificate-authority"] = json!(path.parent().unwrap().join(relative));
        }
        let name = format!("{}-{name}-{:08x}.kubeconfig", cluster.namespace, fastrand::u32(..));
        let kubeconfig = env::temp_dir().join(name);
        fs::write(&kubeconfig, serde_yaml::to_string(&config).unwrap()).unwrap();
        Self { kubeconfig }
    }
}
