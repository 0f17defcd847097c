//! The TCP connection to a server, opened here and handed to sqlx as a socket of this process. sqlx leaves Nagle's algorithm on, and then what
//! is sent in two writes waits for the server's delayed acknowledgement: 40 ms in the handshake of each connection, and a migration opens
//! hundreds. Encryption, the check of the certificate and the login stay with sqlx, end to end.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpStream, UnixListener, UnixStream};

/// Bytes that are on their way at once, in each direction.
const BUFFER: usize = 4096;

/// A connection that waits to be taken.
pub(super) struct Relay {
    path: PathBuf,
}

impl Relay {
    /// Connects to a server. Who does not take the connection within `limit` finds it gone.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub(super) async fn to(host: &str, port: u16, limit: Duration) -> io::Result<Self> {
        let server = TcpStream::connect((host, port)).await?;
        server.set_nodelay(true)?;
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        // The NUL makes it a name in the kernel and no file: see unix(7).
        let path = PathBuf::from(format!("\0holdfast-{random}"));
        let listener = UnixListener::bind(&path)?;
        tokio::spawn(async move {
            // Nothing to tell anybody: where one end is gone, the other one hears of it by the end of its stream.
            if let Ok(Ok(taken)) = tokio::time::timeout(limit, own(listener)).await {
                let _ = pass_on(taken, server).await;
            }
        });
        Ok(Self { path })
    }

    /// Where it is to be taken.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The first connection that this process makes; those of others are closed.
async fn own(listener: UnixListener) -> io::Result<UnixStream> {
    let process = i32::try_from(std::process::id()).map_err(io::Error::other)?;
    loop {
        let (stream, _) = listener.accept().await?;
        if stream.peer_cred()?.pid() == Some(process) {
            return Ok(stream);
        }
    }
}

async fn pass_on(mut taken: UnixStream, mut server: TcpStream) -> io::Result<(u64, u64)> {
    copy_bidirectional_with_sizes(&mut taken, &mut server, BUFFER, BUFFER).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn listening() -> (TcpListener, u16) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        (server, port)
    }

    #[tokio::test]
    async fn what_is_said_is_passed_on_and_an_end_is_the_other_ones_end() {
        let (server, port) = listening().await;
        let relay = Relay::to("127.0.0.1", port, Duration::from_secs(10)).await.unwrap();
        let (mut there, _) = server.accept().await.unwrap();
        let mut here = UnixStream::connect(relay.path()).await.unwrap();
        for _ in 0..3 {
            let said: Vec<u8> = (0..100_000_u32).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
            let mut heard = vec![0; said.len()];
            let (written, read) = tokio::join!(here.write_all(&said), there.read_exact(&mut heard));
            written.unwrap();
            read.unwrap();
            assert!(heard == said);
            there.write_all(b"well").await.unwrap();
            let mut answer = [0; 4];
            here.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"well");
        }
        drop(here);
        assert_eq!(there.read(&mut [0; 1]).await.unwrap(), 0, "the server did not hear of the end");

        let relay = Relay::to("127.0.0.1", port, Duration::from_secs(10)).await.unwrap();
        let (there, _) = server.accept().await.unwrap();
        let mut here = UnixStream::connect(relay.path()).await.unwrap();
        drop(there);
        assert_eq!(here.read(&mut [0; 1]).await.unwrap(), 0, "the server's end was not heard of");
        // It is taken once.
        assert!(UnixStream::connect(relay.path()).await.is_err());
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_an_error_and_what_nobody_takes_is_closed() {
        let (server, port) = listening().await;
        let relay = Relay::to("127.0.0.1", port, Duration::from_millis(1)).await.unwrap();
        let (mut there, _) = server.accept().await.unwrap();
        assert_eq!(there.read(&mut [0; 1]).await.unwrap(), 0);
        assert!(UnixStream::connect(relay.path()).await.is_err());
        drop(server);
        assert!(Relay::to("127.0.0.1", port, Duration::from_secs(10)).await.is_err());
    }
}
