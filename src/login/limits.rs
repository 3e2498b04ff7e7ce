//! How often one may ask and try. Never lets one person spend another's share where a browser is known.

use std::net::IpAddr;
use std::net::Ipv6Addr;

use super::call::Call;
use super::nonce::Nonce;
use crate::identity::EmailAddress;
use crate::store::Quota;
use crate::store::Store;
use crate::store::StoreError;

/// Whether this client may do `what` once more. IPv6 counts by /64, four times that by /56, sixteen times by /48.
pub(super) async fn client_may(call: &Call, what: &str, quota: Quota) -> Result<bool, StoreError> {
    spend(&call.login.parts.store, client_buckets(call, what, quota)).await
}

/// What [`client_may`] spends from.
pub(super) fn client_buckets(call: &Call, what: &str, quota: Quota) -> Vec<(String, Quota)> {
    let site = call.site();
    let bucket = |(network, factor): (String, u32)| {
        let quota = Quota { count: quota.count.saturating_mul(factor), per: quota.per };
        (format!("{what} {site} client {network}"), quota)
    };
    networks(call.visitor.client).into_iter().flatten().map(bucket).collect()
}

/// Takes one from each, until one is empty.
pub(super) async fn spend(store: &Store, buckets: Vec<(String, Quota)>) -> Result<bool, StoreError> {
    for (bucket, quota) in buckets {
        if !store.spend(&bucket, quota).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether one more letter to this address is within the limits. A browser that has signed in as that address has a
/// bucket of its own, which nobody else can empty. An address counts without its `+tag`, so its tags count together.
/// Domain and site are counted for letters that are sent only: asking for strangers must not use them up.
pub(super) async fn letter_may(
    call: &Call,
    email: &EmailAddress,
    nonce: &Nonce,
    admitted: bool,
) -> Result<bool, StoreError> {
    let store = &call.login.parts.store;
    let limits = &call.visitor.site.limits;
    let site = call.site();
    if nonce.knows(&call.keys, site, email, call.now) {
        let browser = hex(&nonce.hash());
        let bucket = format!("ask {site} familiar {browser} {email}");
        return Ok(store.spend(&bucket, limits.ask_per_address).await? && admitted);
    }
    let address = format!("ask {site} address {}", email.untagged());
    let mut may = store.spend(&address, limits.ask_per_address).await? && admitted;
    let shared = [
        (format!("ask {site} domain {}", email.domain()), limits.ask_per_domain),
        (format!("ask {site} all"), limits.ask_per_site),
    ];
    for (bucket, quota) in shared {
        // Asked for a stranger too, but for none: the same servers answer, or do not.
        let quota = Quota { count: if may { quota.count } else { 0 }, ..quota };
        may = store.spend(&bucket, quota).await?;
    }
    Ok(may)
}

/// Lower-case hexadecimal, for names of buckets.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn networks(client: IpAddr) -> [Option<(String, u32)>; 3] {
    match client.to_canonical() {
        IpAddr::V4(ip) => [Some((ip.to_string(), 1)), None, None],
        IpAddr::V6(ip) => [(64, 1), (56, 4), (48, 16)].map(|(length, factor)| {
            let mask = u128::MAX << (128 - length);
            Some((format!("{}/{length}", Ipv6Addr::from(u128::from(ip) & mask)), factor))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_household_share_a_bucket() {
        let names = |ip: &str| -> Vec<String> {
            networks(ip.parse().unwrap()).into_iter().flatten().map(|(name, _)| name).collect()
        };
        assert_eq!(names("192.0.2.1"), ["192.0.2.1"]);
        assert_eq!(names("::ffff:192.0.2.1"), ["192.0.2.1"]);
        assert_eq!(names("2001:db8:1:2:3::4"), ["2001:db8:1:2::/64", "2001:db8:1::/56", "2001:db8:1::/48"]);
        assert_eq!(names("2001:db8:1:2::"), names("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    }
}
