//! The server of this workspace, as `serve` runs it.

use super::{MAIL_USER, Peer, Running, Site, free_port, owner};
use anyhow::{Context, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The built program.
pub struct Pillarbox {
    program: PathBuf,
}

impl Pillarbox {
    /// Builds it, optimised.
    ///
    /// # Errors
    /// When it does not build.
    pub fn build() -> anyhow::Result<Self> {
        // Beside this program, with the cargo that runs it.
        let program = std::env::current_exe()?.with_file_name("pillarbox");
        let target = program.parent().and_then(Path::parent);
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        // What that cargo says of this package would have others built anew each time.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                build.env_remove(&*name);
            }
        }
        let built = build
            .args([
                "build",
                "--release",
                "--quiet",
                "-p",
                "pillarbox",
                "--target-dir",
            ])
            .arg(target.context("this program is in no directory")?)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .context("cannot run cargo")?;
        ensure!(built.success(), "pillarbox does not build");
        ensure!(
            program.exists(),
            "{} is not there; run this with `cargo run --release -p bench`",
            program.display()
        );
        Ok(Self { program })
    }
}

impl Peer for Pillarbox {
    fn name(&self) -> &'static str {
        "pillarbox"
    }

    fn start(&self, site: &Site) -> anyhow::Result<Running> {
        let (imap, pop3, imaps) = (free_port()?, free_port()?, free_port()?);
        let become_user = match owner()? {
            Some(_) => format!("run_as_user: {MAIL_USER}\n"),
            None => String::new(),
        };
        let file = site.path().join("pillarbox.yaml");
        fs::write(
            &file,
            format!(
                "listeners:\n  - {{ protocol: imap, tls: none, address: \"127.0.0.1:{imap}\" }}\n  \
                 - {{ protocol: pop3, tls: none, address: \"127.0.0.1:{pop3}\" }}\n  \
                 - {{ protocol: imap, tls: implicit, address: \"127.0.0.1:{imaps}\" }}\n\
                 literal_plus: true\n\
                 mail_root: {0}/mail/%u/Maildir\nusers_file: {0}/users\n\
                 limits: {{ connections: 100000, connections_per_address: 100000, connections_per_user: 100000 }}\n{become_user}",
                site.path().display()
            ),
        )?;
        let child = Command::new(&self.program)
            .arg("serve")
            .arg("--config")
            .arg(&file)
            .env("PILLARBOX_LOG", "error")
            .env_remove("STATE_DIRECTORY")
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start pillarbox")?;
        Running::new(child, imap, pop3, Some(imaps))
    }
}
