//! Kafka's older encoding, as far as the requests that are answered here use it, and frames.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

const MOST_FRAME_BYTES: usize = 64 << 20;

/// The next frame without its length; `None` when the peer has closed the connection.
pub async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Bytes>> {
    let length = match stream.read_i32().await {
        Ok(length) => usize::try_from(length).unwrap_or(usize::MAX),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > MOST_FRAME_BYTES {
        return Err(malformed());
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame).await?;
    Ok(Some(frame.into()))
}

/// Writes a frame in one piece.
pub async fn write_frame(stream: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> io::Result<()> {
    let length = i32::try_from(frame.len()).map_err(|_| malformed())?;
    let mut bytes = Vec::with_capacity(frame.len() + 4);
    bytes.extend(length.to_be_bytes());
    bytes.extend(frame);
    stream.write_all(&bytes).await?;
    stream.flush().await
}

fn malformed() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidData)
}

/// What every request begins with, up to the client's id.
pub struct Header {
    pub api: i16,
    pub version: i16,
    pub correlation: i32,
    pub client: String,
}

/// Reads values one after the other.
pub struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Reader(bytes)
    }

    /// The header, behind which the body of a request follows that is not of the flexible versions.
    pub fn header(&mut self) -> io::Result<Header> {
        Ok(Header {
            api: self.i16()?,
            version: self.i16()?,
            correlation: self.i32()?,
            client: self.nullable_text()?.unwrap_or_default(),
        })
    }

    fn take(&mut self, count: usize) -> io::Result<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn i16(&mut self) -> io::Result<i16> {
        Ok(i16::from_be_bytes(self.take(2)?.try_into().map_err(|_| malformed())?))
    }

    pub fn i32(&mut self) -> io::Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into().map_err(|_| malformed())?))
    }

    pub fn nullable_text(&mut self) -> io::Result<Option<String>> {
        let Ok(length) = usize::try_from(self.i16()?) else { return Ok(None) };
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| malformed())?;
        Ok(Some(text.to_owned()))
    }

    pub fn text(&mut self) -> io::Result<String> {
        self.nullable_text()?.ok_or_else(malformed)
    }

    pub fn bytes(&mut self) -> io::Result<Bytes> {
        let length = usize::try_from(self.i32()?).map_err(|_| malformed())?;
        Ok(Bytes::copy_from_slice(self.take(length)?))
    }

    pub fn array<T>(&mut self, mut item: impl FnMut(&mut Self) -> io::Result<T>) -> io::Result<Vec<T>> {
        let length = self.i32()?.max(0);
        (0..length).map(|_| item(self)).collect()
    }

    /// What is left.
    pub fn rest(&self) -> &'b [u8] {
        self.0
    }
}

/// Writes values one after the other.
pub struct Writer(pub Vec<u8>);

impl Writer {
    /// A response to a request that is not of the flexible versions.
    pub fn response(correlation: i32) -> Self {
        let mut writer = Writer(Vec::new());
        writer.i32(correlation);
        writer
    }

    pub fn i16(&mut self, value: i16) {
        self.0.extend(value.to_be_bytes());
    }

    pub fn i32(&mut self, value: i32) {
        self.0.extend(value.to_be_bytes());
    }

    pub fn count(&mut self, count: usize) {
        self.i32(i32::try_from(count).expect("a count of a test"));
    }

    pub fn text(&mut self, value: &str) {
        self.i16(i16::try_from(value.len()).expect("a name of a test"));
        self.0.extend(value.as_bytes());
    }

    pub fn nullable_text(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.text(value),
            None => self.i16(-1),
        }
    }

    pub fn bytes(&mut self, value: &[u8]) {
        self.count(value.len());
        self.0.extend(value);
    }
}
