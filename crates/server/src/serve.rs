//! The server: binds, accepts, reloads, stops.

use crate::accounts::Accounts;
use crate::accounts::retention;
use crate::accounts::throttle::{Source, Throttle};
use crate::config::{Config, Listener, TlsMode};
use crate::connection;
use crate::limits::{AtWork, Connections, Counter};
use crate::mail_root::{MailRoots, Owner};
use crate::proxy::{self, Network};
use crate::relief::Relief;
use crate::search_texts;
use crate::self_signed;
use crate::standstill::Standstill;
use crate::steps::Steps;
use crate::tls::{self, Certificates, ClientCertificates};
use crate::watch::FileWatch;
use anyhow::{Context, bail};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};
use wire::sasl::Channel;

/// How long sessions have to finish what they do when the server stops.
const GRACE: Duration = Duration::from_secs(8);
/// How long mailboxes have after that to be closed; one that is not is as after a crash.
const CLOSING: Duration = Duration::from_secs(1);
/// How long files have to stand still after a change until they are read.
const STANDSTILL: Duration = Duration::from_millis(1500);
/// How often certificates and users are looked at for changes that no event told of,
/// as on network file systems.
const LOOK: Duration = Duration::from_secs(10);
/// How long after the start messages that were kept for too long are first looked for, in
/// the mail of all users; of who logs in before, at the login.
const FIRST_RETENTION: Duration = Duration::from_secs(60);
/// How long a server is waited for that has the mail and is about to stop.
const SUCCESSION: Duration = Duration::from_secs(10);
/// How often mailboxes that nobody uses any more are looked for.
const UNUSED: Duration = Duration::from_secs(2);

/// When a file was written and changed, its octets and its inode.
type Stamp = (SystemTime, (i64, i64), u64, u64);
/// The files that reloading reads, as they are or were.
type Stamps = Vec<(PathBuf, Option<Stamp>)>;

/// How TLS is spoken, once there is a certificate.
#[derive(Clone)]
pub struct Tls {
    config: Arc<rustls::ServerConfig>,
    certificates: Arc<Certificates>,
    clients: Option<ClientCertificates>,
}

impl Tls {
    fn new(config: &Config, certificates: Arc<Certificates>) -> anyhow::Result<Self> {
        let clients = ClientCertificates::load(&config.tls).context("tls.client_ca")?;
        Ok(Self {
            config: tls::server_config(Arc::clone(&certificates), clients.as_ref())?,
            certificates,
            clients,
        })
    }

    /// What does the handshake.
    pub fn config(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.config)
    }

    /// What a connection whose handshake is done gives to logging in.
    pub fn channel(&self, connection: &rustls::ServerConnection) -> Channel {
        let clients = self.clients.as_ref();
        Channel {
            certificate_user: clients.and_then(|clients| clients.user_of(connection)),
            ..self.certificates.channel(connection)
        }
    }
}

/// What all connections share.
pub struct Server {
    config: RwLock<Arc<Config>>,
    certificates: Option<Arc<Certificates>>,
    tls: RwLock<Option<Tls>>,
    mail_roots: Mutex<MailRoots>,
    /// Who may log in.
    pub accounts: Arc<Accounts>,
    /// Failed logins by source.
    pub throttle: Throttle,
    /// Connections under way.
    pub connections: Connections,
    /// Sessions that do something.
    pub at_work: Arc<AtWork>,
    /// What they do now.
    pub steps: Arc<Steps>,
}

impl Server {
    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read())
    }

    /// How TLS is spoken, if there is a certificate.
    pub fn tls(&self) -> Option<Tls> {
        self.tls.read().clone()
    }

    /// The files that reloading reads, by absolute paths.
    fn files(&self, configuration: Option<&PathBuf>) -> BTreeSet<PathBuf> {
        let config = self.config();
        let certificates = config.tls.certificates.iter();
        let mut files: Vec<&PathBuf> = certificates
            .flat_map(|files| [&files.certificate, &files.key])
            .collect();
        files.push(&config.users_file);
        files.extend(&config.tls.client_ca);
        if let Some(oauth) = &config.oauth {
            files.extend(oauth.files());
        }
        files.extend(configuration);
        let absolute = files.into_iter().map(std::path::absolute);
        absolute.filter_map(Result::ok).collect()
    }

    /// What tells whether a file changed: all that reloading reads.
    fn stamps(&self, configuration: Option<&PathBuf>) -> Stamps {
        let stamp = |path: &PathBuf| {
            let metadata = std::fs::metadata(path).ok()?;
            // The time of writing can be set, as `cp -p` and `rsync -t` do.
            let changed = (metadata.ctime(), metadata.ctime_nsec());
            let written = metadata.modified().ok()?;
            Some((written, changed, metadata.len(), metadata.ino()))
        };
        self.files(configuration)
            .into_iter()
            .map(|path| (path.clone(), stamp(&path)))
            .collect()
    }

    /// Reloads where files are not as they were when read, and have stood still since.
    fn reload_changed(&self, configuration: Option<&PathBuf>, files: &mut Standstill<Stamps>) {
        let now = self.stamps(configuration);
        if !files.look(&now, Instant::now()) {
            return;
        }
        self.reload(configuration);
        // Other files may be named now.
        let mut after = self.stamps(configuration);
        for (path, stamp) in &mut after {
            if let Some((_, seen)) = now.iter().find(|(other, _)| other == path) {
                *stamp = *seen;
            }
        }
        files.read(after);
    }

    /// Keeps the certificates in force where a configuration that was read again names
    /// none. Only a start makes a self-signed one: clients are not to be shown another
    /// certificate because a section went missing.
    fn keep_certificates(&self, config: &mut Config) {
        let before = &self.config().tls;
        if before.certificates.is_empty() || !config.tls.certificates.is_empty() {
            return;
        }
        if before.certificates != [self_signed::files(config)] {
            tracing::error!(
                "no certificate is configured any more; the old ones stay until the next start"
            );
        }
        config.tls = before.clone();
    }

    /// Reads again who certifies clients. A new TLS configuration knows no session to
    /// resume, so where nobody is asked for a certificate the old one stays.
    fn reload_clients(
        &self,
        config: &Config,
        certificates: &Arc<Certificates>,
    ) -> anyhow::Result<()> {
        let asks = |tls: &Tls| tls.clients.is_some();
        if config.tls.client_ca.is_some() || self.tls().as_ref().is_some_and(asks) {
            let tls = Tls::new(config, Arc::clone(certificates))?;
            *self.tls.write() = Some(tls);
        }
        Ok(())
    }

    /// Has a configuration that was read again in force, together with its users.
    ///
    /// # Errors
    /// If its users cannot be read or would read each other's mail, or another server has
    /// its mail; the old one stays whole then.
    fn take_effect(&self, mut config: Config) -> anyhow::Result<()> {
        let reading = self.accounts.read(&config)?;
        self.mail_roots.lock().own(&config).confirm()?;
        self.keep_certificates(&mut config);
        if config.listeners != self.config().listeners {
            tracing::warn!("changed listeners take effect at the next start");
        }
        let config = Arc::new(config);
        *self.config.write() = Arc::clone(&config);
        self.accounts.adopt(reading, &config);
        Ok(())
    }

    /// Has the configuration of a file in force, or else what can be of the users; tells
    /// what cannot.
    fn reload_configuration(&self, file: &Path) -> Vec<String> {
        let mut mistakes: Vec<String> = match Config::load(file) {
            Ok(config) => match self.take_effect(config) {
                Ok(()) => return Vec::new(),
                Err(error) => vec![format!("{error:#}")],
            },
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        };
        let stays = match self.reload_users() {
            None => "the old configuration stays",
            Some(users) => {
                // Most are mistakes in either configuration.
                if !mistakes.contains(&users) {
                    mistakes.push(users);
                }
                "the old configuration and the old users stay"
            }
        };
        mistakes.push(stays.to_owned());
        mistakes
    }

    /// Reads the users of the configuration in force again; tells what is wrong with them.
    fn reload_users(&self) -> Option<String> {
        let reloaded = self.accounts.reload(&self.config());
        reloaded.err().map(|error| format!("{error:#}"))
    }

    /// Reads users and certificates again, and the configuration where it came
    /// from a file. Sessions go on; what does not parse leaves the old in force.
    fn reload(&self, file: Option<&PathBuf>) {
        let mut mistakes = match file {
            Some(file) => self.reload_configuration(file),
            None => {
                let users = self.reload_users().into_iter();
                users
                    .map(|users| format!("the old users stay: {users}"))
                    .collect()
            }
        };
        let config = self.config();
        match &self.certificates {
            Some(certificates) if !config.tls.certificates.is_empty() => {
                if let Err(error) = certificates.reload(&config.tls) {
                    mistakes.push(format!("the old certificates stay: {error:#}"));
                }
                if let Err(error) = self.reload_clients(&config, certificates) {
                    mistakes.push(format!(
                        "clients log in by certificate as before: {error:#}"
                    ));
                }
            }
            Some(_) => tracing::warn!("TLS goes on with the old certificates until the next start"),
            None if config.tls.certificates.is_empty() => {}
            None => tracing::warn!("the first certificate takes effect at the next start"),
        }
        if mistakes.is_empty() {
            tracing::info!("reloaded");
        }
        mistakes
            .iter()
            .for_each(|mistake| tracing::error!("not reloaded: {mistake}"));
    }
}

/// Serves until SIGTERM or SIGINT. `ready` is told the addresses once all
/// listeners are bound, in the order of the configuration.
///
/// # Errors
/// When something the configuration names cannot be used, or another server has the mail
/// and does not stop within seconds; the text says what.
pub async fn serve(
    config: Config,
    file: Option<PathBuf>,
    ready: impl FnOnce(&[SocketAddr]),
) -> anyhow::Result<()> {
    serve_after(SUCCESSION, config, file, ready).await
}

/// The same, waiting so long for another server.
async fn serve_after(
    patience: Duration,
    mut config: Config,
    file: Option<PathBuf>,
    ready: impl FnOnce(&[SocketAddr]),
) -> anyhow::Result<()> {
    // Before anybody can see the server: a signal that comes early is not to kill it.
    let (mut hangup, mut terminate, mut interrupt) = (
        signal(SignalKind::hangup())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    self_signed::complete(&mut config)?;
    let certificates = match config.tls.certificates.is_empty() {
        true => None,
        false => Some(Arc::new(Certificates::load(&config.tls)?)),
    };
    let tls = certificates
        .clone()
        .map(|certificates| Tls::new(&config, certificates))
        .transpose()?;
    let listeners = bind_all(&config)?;
    drop_privileges(&config)?;
    if certificates.is_some()
        && let Err(error) = Certificates::load(&config.tls)
    {
        tracing::error!(
            "the certificates were read as root and cannot be read again, so that new ones will not take effect; `pillarbox config check` tells what to do: {error:#}"
        );
    }
    let mail_roots = tokio::select! {
        owned = own_mail(&config, patience) => owned?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let server = Arc::new(Server {
        mail_roots: Mutex::new(mail_roots),
        accounts: Arc::new(Accounts::open(&config)?),
        throttle: Throttle::default(),
        config: RwLock::new(Arc::new(config)),
        certificates,
        tls: RwLock::new(tls),
        connections: Connections::default(),
        at_work: Arc::default(),
        steps: Arc::new(Steps::with(Relief::start(&Handle::current())?)),
    });
    let (steps, runtime) = (Arc::clone(&server.steps), Handle::current());
    std::thread::Builder::new()
        .name("progress".to_owned())
        .spawn(move || steps.tell(&runtime))?;
    let search_texts = search_texts::start(Arc::clone(&server.accounts.search_texts))?;
    let (stop, stopping) = watch::channel(false);
    let mut addresses = Vec::new();
    for (listener, socket) in listeners {
        addresses.push(socket.local_addr()?);
        tokio::spawn(accept(
            Arc::clone(&server),
            listener,
            socket,
            stopping.clone(),
        ));
    }
    drop(stopping);
    ready(&addresses);
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let mut look = tokio::time::interval(LOOK);
    let changed = Arc::new(Notify::new());
    let mut watch = watch_files(&server, file.as_ref(), &changed);
    let mut files = Standstill::new(server.stamps(file.as_ref()), STANDSTILL);
    let mut retention = tokio::time::interval_at(
        (Instant::now() + FIRST_RETENTION).into(),
        retention::INTERVAL,
    );
    let mut unused = tokio::time::interval(UNUSED);
    unused.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = hangup.recv() => server.reload(file.as_ref()),
            () = changed.notified() => server.reload_changed(file.as_ref(), &mut files),
            () = files.ended() => {
                server.reload_changed(file.as_ref(), &mut files);
                if watch.as_ref().is_none_or(|watch| !watch.covers(&server.files(file.as_ref()))) {
                    watch = watch_files(&server, file.as_ref(), &changed);
                }
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = retention.tick() => {
                let server = Arc::clone(&server);
                tokio::task::spawn_blocking(move || server.accounts.keep_retention(&server.config()));
            }
            _ = unused.tick() => {
                let kept_open = Arc::clone(&server.accounts.kept_open);
                tokio::task::spawn_blocking(move || kept_open.look(Instant::now()));
            }
            _ = look.tick() => server.reload_changed(file.as_ref(), &mut files),
        }
    }
    tracing::info!("stopping");
    server.steps.end();
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    let _ = stop.send(true);
    let last = tokio::time::Instant::now() + GRACE;
    // At the same time: neither takes the other's.
    let _ = tokio::join!(
        tokio::time::timeout(GRACE, search_texts::end(search_texts)),
        tokio::time::timeout(GRACE, stop.closed()),
    );
    let kept_open = Arc::clone(&server.accounts.kept_open);
    let closing = tokio::task::spawn_blocking(move || kept_open.end());
    let _ = tokio::time::timeout_at(last + CLOSING, closing).await;
    Ok(())
}

/// Watches the files that the server was configured with.
fn watch_files(
    server: &Server,
    configuration: Option<&PathBuf>,
    changed: &Arc<Notify>,
) -> Option<FileWatch> {
    match FileWatch::new(server.files(configuration), Arc::clone(changed)) {
        Ok(watch) => Some(watch),
        Err(error) => {
            tracing::warn!("changed files are only seen every few seconds: {error}");
            None
        }
    }
}

/// Has the mail for this server. Another may be about to stop: it is waited for that long,
/// while connections wait to be accepted. Before that nothing of the mail is read.
async fn own_mail(config: &Config, patience: Duration) -> anyhow::Result<MailRoots> {
    let mut mail_roots = MailRoots::default();
    let began = Instant::now();
    loop {
        let owner = mail_roots.own(config);
        if owner == Owner::This || began.elapsed() >= patience {
            owner.confirm()?;
            return Ok(mail_roots);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn bind_all(config: &Config) -> anyhow::Result<Vec<(Listener, TcpListener)>> {
    let mut inherited = listenfd::ListenFd::from_env();
    let mut bound = Vec::new();
    if inherited.len() > 0 {
        for place in 0..inherited.len() {
            let Some(socket) = inherited.take_tcp_listener(place)? else {
                continue;
            };
            socket.set_nonblocking(true)?;
            let port = socket.local_addr()?.port();
            let Some(listener) = config
                .listeners
                .iter()
                .find(|listener| listener.address.port() == port)
            else {
                bail!(
                    "systemd passed a socket for port {port}, which no listener of the configuration has; add one"
                );
            };
            bound.push((listener.clone(), TcpListener::from_std(socket)?));
        }
        return Ok(bound);
    }
    for listener in &config.listeners {
        let socket = bind(listener.address);
        if let Err(error) = &socket
            && is_without_ipv6(listener.address, error)
        {
            tracing::info!(
                "no IPv6 on this machine: nothing listens on {}",
                listener.address
            );
            continue;
        }
        let socket = socket.map_err(|error| {
            let hint = match error.kind() {
                ErrorKind::AddrInUse => "another server runs there; stop it or take another port",
                ErrorKind::AddrNotAvailable => "this machine has no such address",
                ErrorKind::PermissionDenied => "ports below 1024 want root or CAP_NET_BIND_SERVICE",
                _ => "see what the system says",
            };
            anyhow::anyhow!("cannot listen on {}: {hint} ({error})", listener.address)
        })?;
        bound.push((listener.clone(), socket));
    }
    Ok(bound)
}

/// Whether all addresses of a machine that has no IPv6 were asked for.
fn is_without_ipv6(address: SocketAddr, error: &std::io::Error) -> bool {
    use nix::errno::Errno;
    let codes = [Errno::EAFNOSUPPORT as i32, Errno::EADDRNOTAVAIL as i32];
    let cannot = error
        .raw_os_error()
        .is_some_and(|code| codes.contains(&code));
    cannot && address.is_ipv6() && address.ip().is_unspecified()
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        None,
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}

/// Becomes the configured user for good, where started as root.
fn drop_privileges(config: &Config) -> anyhow::Result<()> {
    use nix::unistd::{Uid, User, initgroups, setgid, setuid};
    let Some(name) = &config.run_as_user else {
        let mut listeners = config.listeners.iter();
        let is_for_others = listeners.any(|listener| !listener.address.ip().is_loopback());
        if Uid::effective().is_root() && is_for_others {
            tracing::warn!(
                "running as root: what is made in mailboxes belongs to root; set run_as_user to whom the mail belongs"
            );
        }
        return Ok(());
    };
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let user = User::from_name(name)?.with_context(|| {
        format!("run_as_user: there is no user {name}; make it with `adduser --system {name}`")
    })?;
    initgroups(&std::ffi::CString::new(name.as_str())?, user.gid)?;
    setgid(user.gid)?;
    setuid(user.uid)?;
    if setuid(Uid::from_raw(0)).is_ok() {
        bail!("run_as_user: root privileges could not be given up");
    }
    Ok(())
}

async fn accept(
    server: Arc<Server>,
    listener: Listener,
    socket: TcpListener,
    stopping: watch::Receiver<bool>,
) {
    let mut stop = stopping.clone();
    let networks: Vec<Network> = listener
        .proxy_from
        .iter()
        .filter_map(|text| Network::parse(text))
        .collect();
    let here = Arc::new(Counter::default());
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = stop.changed() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let through_proxy = networks.iter().any(|network| network.contains(peer.ip()));
                tokio::spawn(admit(
                    Arc::clone(&server),
                    stream,
                    peer,
                    (listener.clone(), Arc::clone(&here)),
                    through_proxy,
                    stopping.clone(),
                ));
            }
            Err(error) => {
                // Out of descriptors, most likely: those in use will come back.
                tracing::error!("accept on {}: {error}", listener.address);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn admit(
    server: Arc<Server>,
    mut stream: TcpStream,
    mut peer: SocketAddr,
    (listener, here): (Listener, Arc<Counter<()>>),
    through_proxy: bool,
    stopping: watch::Receiver<bool>,
) {
    let mut origin = connection::Origin::Client;
    if through_proxy {
        match tokio::time::timeout(Duration::from_secs(5), proxy::read_header(&mut stream)).await {
            Ok(Ok(Some(client))) => peer = client,
            Ok(Ok(None)) => origin = connection::Origin::Proxy,
            _ => {
                return tracing::info!(peer = %peer.ip(), "no valid PROXY header; check proxy_from");
            }
        }
    }
    let limits = server.config().limits.clone();
    let sources = Arc::clone(&server.connections.sources);
    let full = sources.total() >= limits.connections;
    let of_listener = here.take((), listener.connections.unwrap_or(usize::MAX));
    let of_source = sources.take(Source::of(peer.ip()), limits.connections_per_address);
    let (false, Some(_of_listener), Some(_of_source)) = (full, of_listener, of_source) else {
        tracing::warn!(peer = %peer.ip(), "refused: too many connections");
        // A handshake is more than a crowd is worth.
        if !full || listener.tls != TlsMode::Implicit {
            let refused = connection::refuse(
                &server,
                stream,
                listener.protocol,
                listener.tls,
                "Too many connections, try again later",
            );
            let _ = tokio::time::timeout(Duration::from_secs(5), refused).await;
        }
        return;
    };
    connection::carry(
        server,
        stream,
        (peer, origin),
        listener.protocol,
        listener.tls,
        stopping,
    )
    .await;
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
