//! Where to go after signing in. Never leads off the site, and never to our own pages that do something.

use url::Url;

use crate::policy::Origin;
use crate::policy::Site;
use crate::policy::Target;

/// Longest wish taken, in bytes; a longer one is none.
const LONGEST: usize = 4096;

/// The absolute address for a wish, written anew from the site's own origin; `None` where it is no place of the site.
///
/// `here` is the origin of the host asked: a wish that begins with one slash is a place there. Whole origins are
/// compared after a WHATWG parse, and the answer begins with the configured origin, so that nothing that a browser
/// reads differently is left in it.
#[must_use]
pub fn place(site: &Site, here: &Origin, prefix: &str, wish: &str) -> Option<String> {
    let odd = |c: char| c.is_control() || c == '\\' || c.is_whitespace();
    if wish.is_empty() || wish.len() > LONGEST || wish.chars().any(odd) {
        return None;
    }
    let relative = wish.starts_with('/') && !wish.starts_with("//");
    let scheme = wish.get(..8).is_some_and(|head| head.eq_ignore_ascii_case("https://"))
        || wish.get(..7).is_some_and(|head| head.eq_ignore_ascii_case("http://"));
    let url = if relative {
        Url::parse(here.as_str()).ok()?.join(wish).ok()?
    } else if scheme {
        Url::parse(wish).ok()?
    } else {
        return None;
    };
    let origin = Origin::of(&url)?;
    if !site.has_origin(&origin) {
        return None;
    }
    // A path is judged by the gate as well; here it must only not be one of our own doors.
    let target = Target::parse(origin.secure(), origin.host(), url.path()).ok()?;
    let folded = target.folded_path();
    let prefix = prefix.to_ascii_lowercase();
    if folded.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with('/')) {
        return None;
    }
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let fragment = url.fragment().map(|fragment| format!("#{fragment}")).unwrap_or_default();
    Some(format!("{}{}{query}{fragment}", origin.as_str(), url.path()))
}

/// As [`place`], with the site's start for everything else.
#[must_use]
pub fn or_start(site: &Site, here: &Origin, prefix: &str, wish: Option<&str>) -> String {
    wish.and_then(|wish| place(site, here, prefix, wish)).unwrap_or_else(|| site.start.clone())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::policy::AllowList;
    use crate::policy::Groups;
    use crate::policy::SignIn;

    fn site() -> Site {
        let url = Origin::parse("https://wiki.example.com").unwrap();
        Site {
            name: "wiki".into(),
            url: url.clone(),
            start: "https://wiki.example.com/home".into(),
            allow: AllowList::default(),
            sign_in: SignIn::SelfService,
            groups: Groups::default(),
            users: HashMap::new(),
            administrators: AllowList::default(),
            apps: Vec::new(),
            hosts: vec![url, Origin::parse("https://photos.example.com:8443").unwrap()],
        }
    }

    fn go(wish: &str) -> String {
        let site = site();
        or_start(&site, &site.url, "/.linkgate", Some(wish))
    }

    #[test]
    fn places_of_the_site_are_kept_with_query_and_fragment() {
        for (wish, goes) in [
            ("/", "https://wiki.example.com/"),
            ("/a?b=c&d=%2F#e", "https://wiki.example.com/a?b=c&d=%2F#e"),
            ("/a?next=https://evil.example/", "https://wiki.example.com/a?next=https://evil.example/"),
            ("https://wiki.example.com", "https://wiki.example.com/"),
            ("HTTPS://WIKI.example.com:443/x", "https://wiki.example.com/x"),
            ("https://wiki.example.com./x", "https://wiki.example.com/x"),
            ("https://photos.example.com:8443/share/1#p", "https://photos.example.com:8443/share/1#p"),
            ("/.linkgate", "https://wiki.example.com/.linkgate"),
            ("/.linkgateway/x", "https://wiki.example.com/.linkgateway/x"),
            ("/verify?token=x", "https://wiki.example.com/verify?token=x"),
            ("/%2F/evil.example", "https://wiki.example.com/%2F/evil.example"),
            ("https://wiki.example.com//evil.example", "https://wiki.example.com//evil.example"),
        ] {
            assert_eq!(go(wish), goes, "{wish}");
        }
    }

    #[test]
    fn everything_else_goes_to_the_start() {
        for wish in [
            "",
            " ",
            "evil.example",
            "//evil.example",
            "///evil.example",
            "////evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/\r\nLocation: https://evil.example",
            "\t//evil.example",
            " //evil.example",
            " https://evil.example",
            "https://evil.example",
            "https:evil.example",
            "https:/evil.example",
            "https:///evil.example",
            "https:\\\\evil.example",
            "http://wiki.example.com/",
            "https://wiki.example.com:8443/",
            "https://photos.example.com/",
            "https://wiki.example.com.evil.example/",
            "https://wiki.example.comevil.example/",
            "https://evilwiki.example.com/",
            "https://evil.example/https://wiki.example.com/",
            "https://evil.example?https://wiki.example.com/",
            "https://evil.example#@wiki.example.com/",
            "https://wiki.example.com@evil.example/",
            "https://wiki.example.com:x@evil.example/",
            "https://a:b@wiki.example.com/",
            "https://wiki.example.com%2eevil.example/",
            "https://wiki.example.com%00.evil.example/",
            "https://wiki.example.com\0.evil.example/",
            "https://wiki.example.com\u{3002}evil.example/",
            "https://[::1]/",
            "https://127.0.0.1/",
            "javascript:alert(1)",
            "JavaScript://wiki.example.com/%0aalert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "ftp://wiki.example.com/",
            "blob:https://wiki.example.com/x",
            "wss://wiki.example.com/",
            "/.linkgate/verify?token=x",
            "/.linkgate/logout",
            "/.linkgate/enter?ticket=x",
            "/.linkgate/login",
            "/.LinkGate/logout",
            "/%2elinkgate/logout",
            "/x/../.linkgate/logout",
            "/%252elinkgate/logout",
            "/.linkgate;a/logout",
            "/.linkgate//logout",
            "https://wiki.example.com/.linkgate/logout",
            "/\u{0}",
            "/\u{85}x",
            "/\u{2028}x",
            "?a=b",
            "#a",
            "a/b",
            "../x",
        ] {
            assert_eq!(go(wish), "https://wiki.example.com/home", "{wish:?}");
        }
        assert_eq!(go(&format!("/{}", "a".repeat(5000))), "https://wiki.example.com/home");
    }
}
