//! librdkafka ends transactions with EndTxn 1, the library's broker knows EndTxn 3 to 5: the same in another encoding.

use std::io;

use crate::wire::{Header, Reader, Writer};

pub const END_TXN: i16 = 26;
const TO_VERSION: i16 = 3;
const NO_TAGS: u8 = 0;

/// The request in version 3, and whose transaction it ends.
pub fn request(header: &Header, body: &mut Reader<'_>) -> io::Result<(Vec<u8>, String)> {
    let transactional_id = body.text()?;
    let mut request = Writer(Vec::new());
    request.i16(END_TXN);
    request.i16(TO_VERSION);
    request.i32(header.correlation);
    request.text(&header.client);
    request.0.push(NO_TAGS);
    varint(&mut request.0, transactional_id.len() + 1);
    request.0.extend(transactional_id.as_bytes());
    // Producer id, epoch, and whether it commits are written alike.
    request.0.extend(body.rest());
    request.0.push(NO_TAGS);
    Ok((request.0, transactional_id))
}

/// The response in version 1.
pub fn response(response: &[u8]) -> Vec<u8> {
    // Correlation id, then tags that version 1 has not, then the throttle time and the error.
    let (correlation, rest) = response.split_at(response.len().min(4));
    [correlation, rest.get(1..7).unwrap_or_default()].concat()
}

fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).expect("seven bits"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_written_anew() {
        let body = [&[0, 2][..], b"id", &[0, 0, 0, 0, 0, 0, 0, 9, 0, 4, 1]].concat();
        let header = Header { api: END_TXN, version: 1, correlation: 7, client: "c".into() };
        let (bytes, id) = request(&header, &mut Reader::new(&body)).unwrap();
        assert_eq!(id, "id");
        let head = [0, 26, 0, 3, 0, 0, 0, 7, 0, 1, b'c', NO_TAGS];
        assert_eq!(bytes, [&head[..], &[3], b"id", &[0, 0, 0, 0, 0, 0, 0, 9, 0, 4, 1], &[NO_TAGS]].concat());
        assert_eq!(response(&[0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 48, 0]), [0, 0, 0, 7, 0, 0, 0, 0, 0, 48]);
    }

    #[test]
    fn long_ids_have_long_lengths() {
        let mut out = Vec::new();
        varint(&mut out, 300);
        assert_eq!(out, [0xac, 0x02]);
    }
}
