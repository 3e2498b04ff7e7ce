//! Sockets to listen on: TCP, Unix, and those that systemd hands over. Binds; never accepts.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};

use super::error::ServeError;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// After this silence the kernel asks whether a peer is still there: for tunnels, which no sweep watches.
const KEEPALIVE: Duration = Duration::from_mins(1);

/// How much of an answer the kernel takes for a visitor that does not: left to itself, four megabytes each. What is on
/// its way and not confirmed comes on top, so that a fast line is not slowed down.
const UNSENT_BYTES: u32 = 1024 * 1024;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Plain HTTP.
    Http(SocketAddr),
    /// HTTP over TLS.
    Https(SocketAddr),
    /// Plain HTTP on a Unix socket.
    Unix {
        /// The socket's file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// Its group, by name or number; `None`: ours.
        group: Option<String>,
    },
    /// A socket from systemd, by `FileDescriptorName`; TLS if the name is `https` or ends in `-https`.
    Systemd {
        /// The name.
        name: String,
    },
}

impl Listen {
    /// Whether this listener speaks TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        match self {
            Self::Https(_) => true,
            Self::Systemd { name } => name == "https" || name.ends_with("-https"),
            Self::Http(_) | Self::Unix { .. } => false,
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(address) => write!(f, "http://{address}"),
            Self::Https(address) => write!(f, "https://{address}"),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
            Self::Systemd { name } => write!(f, "systemd:{name}"),
        }
    }
}

/// Sockets that systemd handed over, by name.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(String, Accepts)>);

impl Inherited {
    /// Takes over the sockets that belong to this process. `names` is what `LISTEN_FDNAMES` holds.
    ///
    /// To be called once, early: a socket can be taken only once.
    ///
    /// # Errors
    ///
    /// When one of them is not a listening stream socket.
    pub fn take(names: &str) -> Result<Self, ServeError> {
        let mut given = listenfd::ListenFd::from_env();
        let mut names = names.split(':');
        let mut sockets = Vec::with_capacity(given.len());
        for index in 0..given.len() {
            let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unknown").to_owned();
            let socket = match given.take_tcp_listener(index) {
                Ok(Some(tcp)) => Some(Accepts::Tcp(tcp)),
                Ok(None) => None,
                Err(_not_tcp) => given
                    .take_unix_listener(index)
                    .map_err(|error| ServeError::Listen(format!("systemd:{name}"), error))?
                    .map(Accepts::Unix),
            };
            sockets.extend(socket.map(|socket| (name, socket)));
        }
        Ok(Self(sockets))
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

/// A listening socket.
#[derive(Debug)]
pub(super) enum Accepts {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Accepts {
    fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(tcp) => tcp.try_clone().map(Self::Tcp),
            Self::Unix(unix) => unix.try_clone().map(Self::Unix),
        }
    }

    fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => tcp.set_nonblocking(true),
            Self::Unix(unix) => unix.set_nonblocking(true),
        }
    }

    fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(tcp) => tcp.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

/// One worker's end of a listener.
#[derive(Debug)]
pub(super) struct Door {
    pub socket: Accepts,
    pub secure: bool,
    /// The port, 0 for Unix sockets.
    pub port: u16,
    /// Set on plain TCP listeners beside an https one: where to send people.
    pub https_port: Option<u16>,
    /// Whether somebody else keeps the socket open, so that what waits in it is not lost with us.
    pub inherited: bool,
}

/// Everything bound: one list of doors a worker.
#[derive(Debug)]
pub(super) struct Bound {
    pub doors: Vec<Vec<Door>>,
    pub addresses: Vec<SocketAddr>,
    pub files: Files,
}

/// The Unix sockets that we made.
#[derive(Debug, Default)]
pub(super) struct Files(Vec<(PathBuf, (u64, u64))>);

impl Files {
    /// Removes those that are still ours: a successor may have put its own in place.
    pub fn remove(&self) {
        for (path, made) in &self.0 {
            if identity(path).is_some_and(|found| found == *made) {
                // A file that cannot be removed is replaced at the next start.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Binds everything for `workers` workers, or nothing.
pub(super) fn bind(listen: &[Listen], inherited: &Inherited, workers: usize) -> Result<Bound, ServeError> {
    if listen.is_empty() {
        return Err(ServeError::Nothing);
    }
    let mut bound = Bound {
        doors: std::iter::repeat_with(Vec::new).take(workers).collect(),
        addresses: Vec::new(),
        files: Files::default(),
    };
    let mut opened = Vec::with_capacity(listen.len());
    for one in listen {
        let sockets = match one {
            Listen::Http(address) | Listen::Https(address) => bind_tcp(*address, workers),
            Listen::Unix { path, mode, group } => {
                let socket = bind_unix(path, *mode, group.as_deref(), &one.to_string())?;
                bound.files.0.extend(identity(path).map(|made| (path.clone(), made)));
                clones(&Accepts::Unix(socket), workers)
            }
            Listen::Systemd { name } => {
                let Some((_, socket)) = inherited.0.iter().find(|(given, _)| given == name) else {
                    return Err(ServeError::NotInherited(name.clone(), inherited.names()));
                };
                clones(socket, workers)
            }
        };
        let sockets = sockets.map_err(|error| failed(one.to_string(), error))?;
        let address = sockets.first().and_then(Accepts::tcp_address);
        bound.addresses.extend(address);
        opened.push((one, address, sockets));
    }
    let https = opened.iter().filter(|(one, ..)| one.is_secure()).find_map(|(_, address, _)| *address);
    for (one, address, sockets) in opened {
        let https_port = https.filter(|_| !one.is_secure() && address.is_some()).map(|https| https.port());
        for (doors, socket) in bound.doors.iter_mut().zip(sockets) {
            doors.push(Door {
                socket,
                secure: one.is_secure(),
                port: address.map_or(0, |address| address.port()),
                https_port,
                inherited: matches!(one, Listen::Systemd { .. }),
            });
        }
    }
    Ok(bound)
}

fn clones(socket: &Accepts, workers: usize) -> io::Result<Vec<Accepts>> {
    socket.set_nonblocking()?;
    if let Accepts::Tcp(tcp) = socket {
        for_visitors(&SockRef::from(tcp))?;
    }
    (0..workers).map(|_| socket.try_clone()).collect()
}

pub(super) fn failed(at: String, error: io::Error) -> ServeError {
    match error.kind() {
        io::ErrorKind::AddrInUse => ServeError::InUse(at),
        io::ErrorKind::PermissionDenied => ServeError::NotAllowed(at),
        _ => ServeError::Listen(at, error),
    }
}

/// The first socket is bound alone, so that a second linkgate is an error, and shares its port only then.
fn bind_tcp(address: SocketAddr, workers: usize) -> io::Result<Vec<Accepts>> {
    let first = tcp_socket(address)?;
    first.bind(&address.into())?;
    first.set_reuse_port(true)?;
    let address = first.local_addr()?.as_socket().unwrap_or(address);
    let mut sockets = vec![first];
    for _ in 1..workers {
        let socket = tcp_socket(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        sockets.push(socket);
    }
    sockets.iter().try_for_each(|socket| socket.listen(BACKLOG))?;
    Ok(sockets.into_iter().map(|socket| Accepts::Tcp(socket.into())).collect())
}

fn tcp_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // `[::]` means both families; a plain IPv6 address is not touched by this.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    for_visitors(&SockRef::from(&socket))?;
    Ok(socket)
}

/// What every accepted connection inherits from its listener.
fn for_visitors(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)
}

/// Makes the socket beside its place with the right owner, then moves it there: nobody meets it half made.
fn bind_unix(path: &Path, mode: u32, group: Option<&str>, at: &str) -> Result<UnixListener, ServeError> {
    let io_failed = |error| failed(at.to_owned(), error);
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(ServeError::NotASocket(path.display().to_string()));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => return Err(ServeError::InUse(at.to_owned())),
        // Left behind by a server that was killed, or not there at all.
        Ok(_) | Err(_) => {}
    }
    let group = group.map(group_id).transpose()?;
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".{}", std::process::id()));
    let fresh = PathBuf::from(fresh);
    if std::fs::symlink_metadata(&fresh).is_ok_and(|found| found.file_type().is_socket()) {
        std::fs::remove_file(&fresh).map_err(io_failed)?;
    }
    let socket = UnixListener::bind(&fresh).map_err(io_failed)?;
    let placed = std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(mode))
        .and_then(|()| group.map_or(Ok(()), |group| chown(&fresh, None, Some(group))))
        .and_then(|()| std::fs::rename(&fresh, path));
    if let Err(error) = placed {
        let _ = std::fs::remove_file(&fresh);
        return Err(io_failed(error));
    }
    Ok(socket)
}

fn group_id(group: &str) -> Result<u32, ServeError> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    find_group(&groups, group).ok_or_else(|| ServeError::NoSuchGroup(group.to_owned()))
}

fn find_group(groups: &str, wanted: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == wanted).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any_port() -> Listen {
        Listen::Http("127.0.0.1:0".parse().unwrap())
    }

    #[test]
    fn a_second_server_on_an_address_is_refused_with_the_cure() {
        let first = bind(&[any_port()], &Inherited::default(), 2).unwrap();
        let address = *first.addresses.first().unwrap();
        let error = bind(&[Listen::Http(address)], &Inherited::default(), 2).unwrap_err();
        assert!(matches!(&error, ServeError::InUse(at) if *at == format!("http://{address}")));
        assert!(error.to_string().contains("another linkgate"), "{error}");
    }

    #[test]
    fn the_kernel_takes_little_for_a_visitor_that_takes_nothing() {
        let bound = bind(&[any_port()], &Inherited::default(), 1).unwrap();
        let Some(Accepts::Tcp(listener)) =
            bound.doors.first().and_then(|doors| doors.first()).map(|door| &door.socket)
        else {
            panic!("no socket");
        };
        let visitor = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        visitor.set_recv_buffer_size(4096).unwrap();
        visitor.connect(&(*bound.addresses.first().unwrap()).into()).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        accepted.set_nonblocking(true).unwrap();
        let mut taken = 0;
        while let Ok(written) = io::Write::write(&mut accepted, &[0; 16 * 1024]) {
            taken += written;
        }
        assert!(taken < 2 * 1024 * 1024, "{taken} bytes");
        // On a machine whose buffers are small by themselves, that would hold without it.
        assert_eq!(SockRef::from(&accepted).tcp_notsent_lowat().unwrap(), UNSENT_BYTES);
    }

    #[test]
    fn a_stale_unix_socket_is_replaced_a_living_one_and_a_file_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.sock");
        let listen = [Listen::Unix { path: path.clone(), mode: 0o660, group: None }];
        drop(UnixListener::bind(&path).unwrap());
        let bound = bind(&listen, &Inherited::default(), 2).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert!(matches!(bind(&listen, &Inherited::default(), 1), Err(ServeError::InUse(_))));
        bound.files.remove();
        assert!(!path.exists());
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(bind(&listen, &Inherited::default(), 1), Err(ServeError::NotASocket(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_socket_that_systemd_did_not_hand_over_is_named() {
        let listen = [Listen::Systemd { name: "https".to_owned() }];
        let error = bind(&listen, &Inherited::default(), 1).unwrap_err().to_string();
        assert!(error.contains("FileDescriptorName=https") && error.contains("none"), "{error}");
        assert!(listen[0].is_secure());
    }

    #[test]
    fn groups_are_found_by_name() {
        let groups = "root:x:0:\nwww-data:x:33:\nbroken\n";
        assert_eq!(find_group(groups, "www-data"), Some(33));
        assert_eq!(find_group(groups, "broken"), None);
    }
}
