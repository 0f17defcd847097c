//! A way to the MySQL server that a test can cut: connections stay open then and nothing passes, as when a network drops packets. New ones
//! are taken and get no answer either.

use std::net::Ipv4Addr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The way, as long as it is not dropped.
pub(crate) struct Link {
    pub(crate) port: u16,
    cut: watch::Sender<bool>,
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
        let server = (host.to_owned(), port);
        let running = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(client, server.clone(), is_cut.clone()));
            }
        });
        Self { port: own_port, cut, running }
    }

    pub(crate) fn cut(&self) {
        self.cut.send_replace(true);
    }
}

async fn carry(client: TcpStream, server: (String, u16), mut is_cut: watch::Receiver<bool>) {
    let mut cut = is_cut.clone();
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut both = std::pin::pin!(async {
        tokio::join!(copy(from_client, to_server), copy(from_server, to_client));
    });
    tokio::select! {
        () = &mut both => {}
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
