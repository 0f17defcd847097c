//! How a dump is compressed on its way to where it lies, and read again. Size and SHA-256 of a backup are those of what is stored, so that
//! whoever looks after the place can compare them without unpacking anything.

use std::io::{self, BufReader, Read, Write};

use serde::{Deserialize, Serialize};

use super::storage::{Sum, Upload};

/// Level 1 is the fastest of zstd's own levels, and a dump that is made faster holds its snapshot for a shorter time.
const LEVEL: i32 = 1;

/// How a dump is compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// As the program zstd does.
    Zstd,
}

impl Compression {
    /// Every one of them.
    pub(super) const ALL: [Self; 2] = [Self::None, Self::Zstd];

    /// What the name of a dump ends with after its own ending.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Zstd => ".zst",
        }
    }

    /// Whether it is none, which manifests leave out.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// Takes a dump, and stores it compressed.
pub(super) enum Writer<'a> {
    Plain(Stored<'a>),
    Zstd(Box<zstd::Encoder<'static, Stored<'a>>>),
}

/// What is stored, summed on its way there.
pub(super) struct Stored<'a> {
    upload: &'a mut (dyn Upload + 'a),
    sum: Sum,
}

impl Write for Stored<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.upload.write(piece).map_err(io::Error::other)?;
        self.sum.add(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> Writer<'a> {
    pub(super) fn new(upload: &'a mut (dyn Upload + 'a), compression: Compression) -> Result<Self, String> {
        let stored = Stored { upload, sum: Sum::default() };
        match compression {
            Compression::None => Ok(Self::Plain(stored)),
            Compression::Zstd => {
                let started = zstd::Encoder::new(stored, LEVEL).and_then(|mut encoder| {
                    // Whoever unpacks it by hand learns of a flipped bit as well.
                    encoder.include_checksum(true)?;
                    // One thread compresses while this one reads on.
                    encoder.multithread(1)?;
                    Ok(encoder)
                });
                let encoder = started.map_err(|error| format!("starting to compress: {error}"))?;
                Ok(Self::Zstd(Box::new(encoder)))
            }
        }
    }

    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), String> {
        match self {
            Self::Plain(stored) => stored.write_all(piece),
            Self::Zstd(encoder) => encoder.write_all(piece),
        }
        // What the place answered is all that it says.
        .map_err(|error| error.to_string())
    }

    /// Writes what is still on its way; size and SHA-256 of what was stored.
    pub(super) fn finish(self) -> Result<(u64, String), String> {
        let stored = match self {
            Self::Plain(stored) => stored,
            Self::Zstd(encoder) => encoder.finish().map_err(|error| error.to_string())?,
        };
        Ok(stored.sum.finish())
    }
}

/// Reads a stored dump as it was written.
pub(super) fn reading<'a>(stored: Box<dyn Read + 'a>, compression: Compression) -> Result<Box<dyn Read + 'a>, String> {
    match compression {
        Compression::None => Ok(stored),
        Compression::Zstd => {
            let decoder = zstd::Decoder::with_buffer(BufReader::with_capacity(BUFFER, stored));
            Ok(Box::new(decoder.map_err(|error| format!("starting to unpack: {error}"))?))
        }
    }
}

const BUFFER: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use sha2::{Digest as _, Sha256};

    use super::super::manifest::hexadecimal;
    use super::*;

    /// A place that keeps what it is given, up to a size.
    struct Kept(Vec<u8>, usize);

    impl Upload for Kept {
        fn write(&mut self, piece: &[u8]) -> Result<(), String> {
            if self.0.len() + piece.len() > self.1 {
                return Err("the backup volume is full".to_owned());
            }
            self.0.extend_from_slice(piece);
            Ok(())
        }

        fn finish(self: Box<Self>) -> Result<(), String> {
            Ok(())
        }

        fn abandon(self: Box<Self>) -> Result<(), String> {
            Ok(())
        }
    }

    fn dump() -> Vec<u8> {
        (0..200_000)
            .flat_map(|row| format!("INSERT INTO `t` VALUES ({row},'{}');\n", row * 7919 % 1013).into_bytes())
            .collect()
    }

    fn stored(compression: Compression) -> (Kept, (u64, String)) {
        let mut kept = Kept(Vec::new(), usize::MAX);
        let mut writer = Writer::new(&mut kept, compression).unwrap();
        dump().chunks(10_000).for_each(|piece| writer.write(piece).unwrap());
        let sum = writer.finish().unwrap();
        (kept, sum)
    }

    fn read(stored: &[u8], compression: Compression) -> io::Result<Vec<u8>> {
        let mut read = Vec::new();
        reading(Box::new(stored), compression).unwrap().read_to_end(&mut read)?;
        Ok(read)
    }

    #[test]
    fn what_is_read_is_what_was_written_and_the_sum_is_of_what_is_stored() {
        for compression in Compression::ALL {
            let (kept, sum) = stored(compression);
            assert_eq!(sum, (kept.0.len() as u64, hexadecimal(&Sha256::digest(&kept.0))), "{compression:?}");
            assert!(read(&kept.0, compression).unwrap() == dump(), "{compression:?}");
            assert_eq!(kept.0.len() < dump().len() / 3, compression == Compression::Zstd, "{}", kept.0.len());
        }
    }

    #[test]
    fn what_was_cut_off_or_spoilt_is_no_dump() {
        let (kept, _) = stored(Compression::Zstd);
        for length in [0, 1, 3, kept.0.len() / 2, kept.0.len() - 1] {
            assert!(length == 0 || read(&kept.0[..length], Compression::Zstd).is_err(), "cut at {length}");
        }
        for place in [0, kept.0.len() / 2, kept.0.len() - 1] {
            let mut spoilt = kept.0.clone();
            spoilt[place] ^= 1;
            assert!(read(&spoilt, Compression::Zstd).is_err(), "flipped at {place}");
        }
    }

    #[test]
    fn what_the_place_says_is_handed_on_however_late_it_says_it() {
        for compression in Compression::ALL {
            let mut kept = Kept(Vec::new(), 1000);
            let mut writer = Writer::new(&mut kept, compression).unwrap();
            let written = dump().chunks(10_000).try_for_each(|piece| writer.write(piece));
            let error = written.and_then(|()| writer.finish()).unwrap_err();
            assert_eq!(error, "the backup volume is full", "{compression:?}");
        }
    }
}
