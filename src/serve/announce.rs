//! The PROXY protocol, versions 1 and 2: a proxy in front announces for whom it connects, before TLS and HTTP.
//! Never takes a byte beyond the header, never guesses: what is no header is an error, and the connection ends.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The first bytes of a version 2 header; no version 1 header is as short.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest version 1 header, as its definition says.
const LONGEST_V1: usize = 107;

/// Signature, version, family and length of version 2.
const FIXED_V2: usize = 16;

/// The longest version 2 header taken: addresses and what proxies add to them need a tenth of it.
const LONGEST_V2: usize = 4096;

/// For whom a proxy connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    /// The visitor's end of its connection to the proxy.
    pub peer: SocketAddr,
    /// The port that the visitor connected to.
    pub local_port: u16,
}

/// Reads the header and not a byte more; `None`: the proxy speaks for itself, or says nothing that we know.
///
/// # Errors
/// It is no header, or the peer left in the middle of one.
pub(super) async fn read(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Announced>> {
    let mut header = Vec::with_capacity(LONGEST_V1);
    fill(socket, &mut header, SIGNATURE.len()).await?;
    if header == SIGNATURE { read_v2(socket, header).await } else { read_v1(socket, header).await }
}

async fn read_v1(
    socket: &mut (impl AsyncRead + Unpin),
    mut header: Vec<u8>,
) -> io::Result<Option<Announced>> {
    loop {
        match missing_v1(&header) {
            Some(0) => break,
            Some(more) if header.len() + more <= LONGEST_V1 => fill(socket, &mut header, more).await?,
            Some(_) | None => return Err(broken("this is no PROXY header")),
        }
    }
    let header = v1::Header::try_from(header.as_slice()).map_err(broken)?;
    Ok(match header.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(ip) => {
            Some(announced(ip.source_address.into(), ip.source_port, ip.destination_port))
        }
        v1::Addresses::Tcp6(ip) => {
            Some(announced(ip.source_address.into(), ip.source_port, ip.destination_port))
        }
    })
}

/// At least how many bytes of a version 1 header must follow these; `None`: these begin none.
fn missing_v1(header: &[u8]) -> Option<usize> {
    if !header.starts_with(b"PROXY ") {
        return None;
    }
    let Some(end) = header.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        // Each word that is still to come takes a space and one character at least, the end of the line two.
        let words = header.split(|byte| *byte == b' ').count();
        let words = if header.starts_with(b"PROXY TCP") { 6_usize.saturating_sub(words) } else { 0 };
        return Some(2 + 2 * words);
    };
    match header.get(end..) {
        Some(b"\r") => Some(1),
        Some(b"\r\n") => Some(0),
        _ => None,
    }
}

async fn read_v2(
    socket: &mut (impl AsyncRead + Unpin),
    mut header: Vec<u8>,
) -> io::Result<Option<Announced>> {
    fill(socket, &mut header, FIXED_V2 - SIGNATURE.len()).await?;
    let length = header.last_chunk().map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
    if FIXED_V2 + length > LONGEST_V2 {
        return Err(broken("this PROXY header is too long"));
    }
    fill(socket, &mut header, length).await?;
    let header = v2::Header::try_from(header.as_slice()).map_err(broken)?;
    if header.command == v2::Command::Local || header.protocol == v2::Protocol::Unspecified {
        return Ok(None);
    }
    Ok(match header.addresses {
        // A Unix socket of the proxy's machine is none of ours, and must not be trusted as one.
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
        v2::Addresses::IPv4(ip) => {
            Some(announced(ip.source_address.into(), ip.source_port, ip.destination_port))
        }
        v2::Addresses::IPv6(ip) => {
            Some(announced(ip.source_address.into(), ip.source_port, ip.destination_port))
        }
    })
}

fn announced(ip: IpAddr, port: u16, local_port: u16) -> Announced {
    Announced { peer: SocketAddr::new(ip, port), local_port }
}

async fn fill(socket: &mut (impl AsyncRead + Unpin), header: &mut Vec<u8>, more: usize) -> io::Result<()> {
    let have = header.len();
    header.resize(have + more, 0);
    socket.read_exact(header.get_mut(have..).unwrap_or_default()).await.map(drop)
}

fn broken(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use proptest::prelude::*;
    use tokio::io::ReadBuf;

    use super::*;

    /// Hands its bytes out in pieces of at most `piece`.
    struct Pieces<'a> {
        bytes: &'a [u8],
        piece: usize,
    }

    impl AsyncRead for Pieces<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let length = self.bytes.len().min(self.piece).min(buf.remaining());
            let (now, later) = self.bytes.split_at(length);
            buf.put_slice(now);
            self.bytes = later;
            Poll::Ready(Ok(()))
        }
    }

    /// What a header says, and what is left for those who come after it.
    fn take(bytes: &[u8], piece: usize) -> (io::Result<Option<Announced>>, Vec<u8>) {
        let mut pieces = Pieces { bytes, piece };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(read(&mut pieces));
        (result, pieces.bytes.to_vec())
    }

    fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[0x20 | command, family], &length, payload].concat()
    }

    const VISITOR: Announced = Announced {
        peer: SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)), 51000),
        local_port: 443,
    };
    const V4: &[u8] = &[192, 0, 2, 7, 10, 0, 0, 1, 199, 56, 1, 187];

    #[test]
    fn both_versions_name_the_visitor_and_the_port() {
        let (text, rest) = take(b"PROXY TCP4 192.0.2.7 10.0.0.1 51000 443\r\nGET", 1000);
        assert_eq!((text.unwrap(), rest), (Some(VISITOR), b"GET".to_vec()));
        let (six, _) = take(b"PROXY TCP6 2001:db8::7 ::1 51000 443\r\n", 1000);
        assert_eq!(six.unwrap().unwrap().peer, "[2001:db8::7]:51000".parse().unwrap());
        assert_eq!(take(&v2(1, 0x11, V4), 1000).0.unwrap(), Some(VISITOR));
        assert_eq!(
            take(&v2(1, 0x12, V4), 1000).0.unwrap(),
            Some(VISITOR),
            "a proxy that speaks QUIC outside"
        );
        let more = [V4, &[0x04, 0, 3, 1, 2, 3]].concat();
        assert_eq!(take(&v2(1, 0x11, &more), 1000).0.unwrap(), Some(VISITOR), "additions are skipped");
        let v6 = [[0x20, 1, 0xd, 0xb8].as_slice(), &[0; 11], &[7], &[0; 16], &[199, 56, 1, 187]].concat();
        assert_eq!(take(&v2(1, 0x21, &v6), 1000).0.unwrap().unwrap().peer, six_of("2001:db8::7"));
    }

    fn six_of(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), 51000)
    }

    #[test]
    fn a_proxy_may_speak_for_itself() {
        for header in [
            b"PROXY UNKNOWN\r\n".to_vec(),
            b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(),
            v2(0, 0x00, &[]),
            v2(0, 0x11, V4),
            v2(1, 0x00, &[]),
            v2(1, 0x31, &[b'/'; 216]),
            v2(1, 0x31, &[b'/'; 230]),
        ] {
            assert_eq!(take(&header, 1000).0.unwrap(), None, "{header:?}");
        }
    }

    #[test]
    fn what_is_no_header_is_refused_without_reading_on() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(200));
        for bytes in [
            b"".as_slice(),
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaa",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 51000 443\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 51000 443\rX",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 51000\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 51000 443 9\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 51000 99443\r\n",
            b"PROXY TCP4 2001:db8::7 ::1 51000 443\r\n",
            b"PROXY TCP5 192.0.2.7 10.0.0.1 51000 443\r\n",
            b"PROXY tcp4 192.0.2.7 10.0.0.1 51000 443\r\n",
            b"proxy TCP4 192.0.2.7 10.0.0.1 51000 443\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 51000 443",
            long.as_bytes(),
            &v2(2, 0x11, V4),
            &v2(1, 0x41, V4),
            &v2(1, 0x13, V4),
            &v2(1, 0x11, &V4[1..]),
            &v2(1, 0x21, V4),
            &v2(1, 0x11, &[0; 5000]),
            &[&SIGNATURE[..11], b"X\x21\x11\x00\x0c", V4].concat(),
            &[SIGNATURE, b"\x11\x11\x00\x0c", V4].concat(),
        ] {
            let (result, rest) = take(bytes, 1000);
            assert!(result.is_err(), "{bytes:?}: {result:?}");
            let (most, text) = (bytes.len() - rest.len(), String::from_utf8_lossy(bytes));
            assert!(most <= LONGEST_V2 && (!text.starts_with("PROXY") || most <= LONGEST_V1), "{text}");
        }
    }

    proptest! {
        /// However the bytes arrive, and whatever follows: the header is read whole, and nothing after it.
        #[test]
        fn nothing_beyond_the_header_is_taken(
            (source, target, ports) in (any::<u32>(), any::<u32>(), any::<(u16, u16)>()),
            kind in 0..4,
            after in proptest::collection::vec(any::<u8>(), 0..200),
            piece in 1_usize..200,
        ) {
            let (from, to) = (std::net::Ipv4Addr::from(source), std::net::Ipv4Addr::from(target));
            let (from6, to6) = (from.to_ipv6_mapped(), to.to_ipv6_compatible());
            let header = match kind {
                0 => format!("PROXY TCP4 {from} {to} {} {}\r\n", ports.0, ports.1).into_bytes(),
                1 => format!("PROXY TCP6 {from6} {to6} {} {}\r\n", ports.0, ports.1).into_bytes(),
                2 => format!("PROXY UNKNOWN {from}{to6}\r\n").into_bytes(),
                _ => v2(1, 0x11, &[&from.octets()[..], &to.octets(), &ports.0.to_be_bytes(), &ports.1.to_be_bytes()].concat()),
            };
            let (result, rest) = take(&[header, after.clone()].concat(), piece);
            let expected = match kind {
                0 | 3 => Some((IpAddr::V4(from), ports)),
                1 => Some((IpAddr::V6(from6), ports)),
                _ => None,
            };
            let found = result.unwrap().map(|it| (it.peer.ip(), (it.peer.port(), it.local_port)));
            prop_assert_eq!(found, expected);
            prop_assert_eq!(rest, after);
        }
    }
}
