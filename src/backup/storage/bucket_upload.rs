//! An object that is uploaded in parts while it is made: one part is on its way while the next one is filled, so that two parts are all the
//! memory it takes, however large the object becomes.

use bytes::Bytes;
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use tokio::task::JoinHandle;

use super::bucket::Bucket;
use super::{Storage as _, Upload};

/// The first parts. Services take no smaller ones than 5 MiB, and no more than 10,000 of them.
const FIRST_PART: usize = 16 << 20;
/// After so many parts they become twice as large: 20 GiB in parts of 16 MiB, and 4.8 TiB, nearly the largest object, in 10,000 parts.
const SAME_SIZE: usize = 1_250;

/// The upload.
pub(super) struct Parts<'a> {
    bucket: &'a Bucket,
    name: String,
    path: Path,
    id: String,
    filling: Vec<u8>,
    sending: Option<JoinHandle<object_store::Result<PartId>>>,
    sent: Vec<PartId>,
    begun: usize,
    bytes: u64,
}

fn part_size(index: usize) -> usize {
    FIRST_PART << (index / SAME_SIZE).min(8)
}

impl<'a> Parts<'a> {
    pub(super) fn new(bucket: &'a Bucket, name: &str, path: Path, id: String) -> Self {
        Self {
            bucket,
            name: name.to_owned(),
            path,
            id,
            filling: Vec::new(),
            sending: None,
            sent: Vec::new(),
            begun: 0,
            bytes: 0,
        }
    }

    fn doing(&self) -> String {
        format!("writing {}, which stopped after {} bytes", self.bucket.place(&self.name), self.bytes)
    }

    /// Waits for the part that is on its way.
    fn arrive(&mut self) -> Result<(), String> {
        let Some(sending) = self.sending.take() else { return Ok(()) };
        match self.bucket.runtime.block_on(sending) {
            Ok(Ok(part)) => {
                self.sent.push(part);
                Ok(())
            }
            Ok(Err(error)) => Err(self.bucket.error(&self.doing(), &error)),
            Err(error) => Err(format!("{}: {error}", self.doing())),
        }
    }

    /// Sends what is filled.
    fn send(&mut self) -> Result<(), String> {
        self.arrive()?;
        let next = Vec::with_capacity(part_size(self.begun + 1));
        let part = Bytes::from(std::mem::replace(&mut self.filling, next));
        let (store, path, id, index) = (self.bucket.store.clone(), self.path.clone(), self.id.clone(), self.begun);
        self.begun += 1;
        self.bytes += part.len() as u64;
        let sending = async move { store.put_part(&path, &id, index, part.into()).await };
        self.sending = Some(self.bucket.runtime.spawn(sending));
        Ok(())
    }

    fn complete(&mut self) -> Result<(), String> {
        if !self.filling.is_empty() || self.begun == 0 {
            self.send()?;
        }
        self.arrive()?;
        // Not every service keeps the condition that the completion carries.
        self.bucket.free(&self.name)?;
        let sent = std::mem::take(&mut self.sent);
        let completing = self.bucket.store.complete_multipart(&self.path, &self.id, sent);
        match self.bucket.runtime.block_on(completing) {
            Ok(_) => Ok(()),
            Err(error) => {
                let doing = format!("completing {}", self.bucket.place(&self.name));
                Err(self.bucket.error(&doing, &error))
            }
        }
    }

    fn abort(&mut self) -> Result<(), String> {
        if let Some(sending) = self.sending.take() {
            sending.abort();
            // Parts that arrive after the abortion would stay.
            let _ = self.bucket.runtime.block_on(sending);
        }
        let aborting = self.bucket.store.abort_multipart(&self.path, &self.id);
        match self.bucket.runtime.block_on(aborting) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => {
                let doing = format!("aborting the upload of {}", self.bucket.place(&self.name));
                Err(format!(
                    "{}; until then its parts take space: the next backup of this migration aborts it, or a lifecycle rule of the bucket \
                     (AbortIncompleteMultipartUpload)",
                    self.bucket.error(&doing, &error)
                ))
            }
        }
    }
}

impl Upload for Parts<'_> {
    fn write(&mut self, piece: &[u8]) -> Result<(), String> {
        let mut piece = piece;
        while !piece.is_empty() {
            let room = part_size(self.begun).saturating_sub(self.filling.len());
            let (now, later) = piece.split_at(room.min(piece.len()));
            self.filling.extend_from_slice(now);
            piece = later;
            if self.filling.len() >= part_size(self.begun) {
                self.send()?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), String> {
        let Err(error) = self.complete() else { return Ok(()) };
        match self.abort() {
            Ok(()) => Err(error),
            Err(more) => Err(format!("{error} (and {more})")),
        }
    }

    fn abandon(mut self: Box<Self>) -> Result<(), String> {
        self.abort()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_make_the_largest_object() {
        let all: u64 = (0..10_000).map(|index| part_size(index) as u64).sum();
        assert!(all >= 5_000_000_000_000, "{all}");
        assert_eq!((part_size(0), part_size(1_249), part_size(1_250)), (16 << 20, 16 << 20, 32 << 20));
        // A part is no larger than services take.
        assert!(part_size(9_999) <= 5 << 30);
    }
}
