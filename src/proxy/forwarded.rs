//! What the app is told of the visitor's connection. Everything here is set by us on every request; what came in
//! under these names was removed before (see [`super::fold`]).

use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::IpAddr;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Version;
use http::header;

use super::Visit;

static FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
static REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Our `Via` lines (RFC 9110 §7.6.3), one for each version that a visitor may have spoken.
pub(super) struct Via {
    http10: HeaderValue,
    http11: HeaderValue,
    http2: HeaderValue,
}

impl Via {
    /// `name` is a token; anything else gives way to `linkgate`.
    pub(super) fn new(name: &str) -> Self {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let name = if !name.is_empty() && name.bytes().all(token) { name } else { "linkgate" };
        let line = |version: &str| text(&format!("{version} {name}"));
        Self { http10: line("1.0"), http11: line("1.1"), http2: line("2") }
    }

    /// Adds our hop after those that the message has passed.
    pub(super) fn append(&self, headers: &mut HeaderMap, version: Version) {
        let line = match version {
            Version::HTTP_10 => &self.http10,
            Version::HTTP_2 => &self.http2,
            _ => &self.http11,
        };
        headers.append(header::VIA, line.clone());
    }
}

/// Addresses of visitors as header values, for those who come again: writing one out costs more than all else here.
pub(super) struct Visitors(RefCell<Vec<(IpAddr, HeaderValue)>>);

impl Visitors {
    /// A power of two: the places that addresses share.
    const PLACES: usize = 256;

    pub(super) fn new() -> Self {
        let nobody = IpAddr::from([0, 0, 0, 0]);
        Self(RefCell::new(vec![(nobody, text("0.0.0.0")); Self::PLACES]))
    }

    fn value(&self, ip: IpAddr) -> HeaderValue {
        let mut known = self.0.borrow_mut();
        let Some((last, value)) = known.get_mut(Self::place(ip)) else { return text(&ip.to_string()) };
        if *last != ip {
            *last = ip;
            *value = text(&ip.to_string());
        }
        value.clone()
    }

    /// Visitors who choose their addresses can only take places from each other.
    fn place(ip: IpAddr) -> usize {
        let bits = match ip {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            IpAddr::V6(ip) => {
                let (network, host) = (ip.to_bits() >> 64, ip.to_bits() & u128::from(u64::MAX));
                u64::try_from(network ^ host).unwrap_or_default()
            }
        };
        // Fibonacci hashing: the upper byte of the product depends on every bit.
        usize::from(bits.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0])
    }
}

/// Sets `X-Forwarded-For`, `-Proto`, `-Host`, `-Port`, `X-Real-IP`, `X-Request-Id` and the visitor's own `Host`.
pub(super) fn set(headers: &mut HeaderMap, visit: &Visit<'_>, visitors: &Visitors) {
    let client = visit.client.to_canonical();
    let address = visitors.value(client);
    headers.insert(&FOR, chain(visit.forwarded_for, client, &address));
    headers.insert(&REAL_IP, address);
    headers.insert(&PROTO, HeaderValue::from_static(if visit.secure { "https" } else { "http" }));
    headers.insert(&HOST, visit.host.clone());
    headers.insert(header::HOST, visit.host.clone());
    headers.insert(&PORT, visit.port.clone());
    name(headers, visit);
}

/// Sets `X-Request-Id` alone.
pub(super) fn name(headers: &mut HeaderMap, visit: &Visit<'_>) {
    headers.insert(&REQUEST_ID, visit.request_id.clone());
}

/// The chain from trusted peers with the visitor at its end, who is named once.
fn chain(before: Option<&str>, client: IpAddr, address: &HeaderValue) -> HeaderValue {
    let Some(before) = before.map(str::trim).filter(|chain| !chain.is_empty()) else {
        return address.clone();
    };
    let is_client = |hop: &str| hop.trim().parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() == client);
    if before.split(',').any(is_client) {
        return HeaderValue::from_str(before).unwrap_or_else(|_| address.clone());
    }
    let mut line = before.to_owned();
    // Writing into a String cannot fail; were it to, the visitor's own address would still be sent.
    match write!(line, ", {client}") {
        Ok(()) => HeaderValue::from_str(&line).unwrap_or_else(|_| address.clone()),
        Err(_) => address.clone(),
    }
}

/// A value from text of ours; one that is no field value becomes an empty one.
pub(super) fn text(value: &str) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::copy_from_slice(value.as_bytes()))
        .unwrap_or(const { HeaderValue::from_static("") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trusted_chain_is_extended_and_names_the_visitor_once() {
        let client: IpAddr = "192.0.2.7".parse().unwrap();
        let value = text("192.0.2.7");
        assert_eq!(chain(None, client, &value), "192.0.2.7");
        assert_eq!(chain(Some("198.51.100.1"), client, &value), "198.51.100.1, 192.0.2.7");
        assert_eq!(
            chain(Some("198.51.100.1, ::ffff:192.0.2.7"), client, &value),
            "198.51.100.1, ::ffff:192.0.2.7"
        );
        assert_eq!(chain(Some("192.0.2.7, 10.0.0.9"), client, &value), "192.0.2.7, 10.0.0.9");
        assert_eq!(chain(Some("bad\r\nx: y"), client, &value), "192.0.2.7");
    }

    #[test]
    fn every_visitor_gets_their_own_address_however_they_share_places() {
        let visitors = Visitors::new();
        for round in 0..2 {
            for number in 0..2_000_u32 {
                let ip = if number % 2 == 0 {
                    IpAddr::from(number.to_be_bytes())
                } else {
                    IpAddr::V6(std::net::Ipv6Addr::from_bits(u128::from(number) << 64))
                };
                assert_eq!(visitors.value(ip), ip.to_string().as_str(), "{round}");
                assert_eq!(visitors.value(ip), ip.to_string().as_str());
            }
        }
    }

    #[test]
    fn via_is_added_after_earlier_hops_and_only_with_a_clean_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::VIA, HeaderValue::from_static("1.1 cdn"));
        Via::new("not a token").append(&mut headers, Version::HTTP_2);
        let lines: Vec<_> = headers.get_all(header::VIA).iter().collect();
        assert_eq!(lines, ["1.1 cdn", "2 linkgate"]);
    }
}
