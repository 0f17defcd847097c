//! A way to the MySQL server that a test can cut: connections stay open then and nothing passes, as when a network drops packets. New ones
//! are taken and get no answer either. Or it leads to another server from now on, as a Service does whose endpoints have changed:
//! connections end then.

use std::net::Ipv4Addr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The way, as long as it is not dropped.
pub(crate) struct Link {
    pub(crate) port: u16,
    cut: watch::Sender<bool>,
    server: watch::Sender<Option<(String, u16)>>,
    running: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Link {
    /// To a server.
    pub(crate) async fn to(host: &str, port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let (cut, is_cut) = watch::channel(false);
        let (server, leads_to) = watch::channel(Some((host.to_owned(), port)));
        let running = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(client, leads_to.clone(), is_cut.clone()));
            }
        });
        Self { port: own_port, cut, server, running }
    }

    pub(crate) fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// From now on to this server.
    pub(crate) fn lead_to(&self, host: &str, port: u16) {
        self.server.send_replace(Some((host.to_owned(), port)));
    }

    /// From now on to none: connections are closed at once.
    pub(crate) fn lead_nowhere(&self) {
        self.server.send_replace(None);
    }
}

async fn carry(
    client: TcpStream,
    mut leads_to: watch::Receiver<Option<(String, u16)>>,
    mut is_cut: watch::Receiver<bool>,
) {
    let mut cut = is_cut.clone();
    let server = leads_to.borrow_and_update().clone();
    let Some(server) = server else { return };
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut both = std::pin::pin!(async {
        tokio::join!(copy(from_client, to_server), copy(from_server, to_client));
    });
    tokio::select! {
        () = &mut both => {}
        // Both ends are closed.
        Ok(()) = leads_to.changed() => {}
        () = async { is_cut.wait_for(|cut| *cut).await.map(drop).unwrap_or_default() } => {
            // Both ends stay open, and nothing passes, until the link is dropped.
            let _ = cut.wait_for(|cut| !*cut).await.map(drop);
        }
    }
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read) = from.read(&mut buffer).await {
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
