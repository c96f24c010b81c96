//! Debian packages that are not installed but unpacked into a directory beside this
//! program, because they cannot be installed beside those of another server.

use super::owner;
use anyhow::{Context, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Packages in a directory of their own.
pub struct Unpacked {
    /// That directory; below it lies what otherwise lies below `/`.
    pub root: PathBuf,
    /// The version of the first package, as its authors number it.
    pub version: String,
}

impl Unpacked {
    /// Fetches and unpacks them, where `program` is not there.
    ///
    /// # Errors
    /// When they cannot be fetched, or this is not root.
    pub fn new(name: &str, packages: &[&str], program: &str) -> anyhow::Result<Self> {
        if owner()?.is_none() {
            bail!("{name} is started by root; run this as root, or with --against none");
        }
        let root = std::env::current_exe()?.with_file_name(name.to_lowercase());
        if !root.join(program).exists() {
            fs::create_dir_all(&root)?;
            let fetched = Command::new("apt-get")
                .args(["download", "-qq"])
                .args(packages)
                .current_dir(&root)
                .stderr(Stdio::null())
                .status()?;
            ensure!(fetched.success(), "{name}'s packages cannot be fetched");
            for file in files(&root)? {
                let unpacked = Command::new("dpkg")
                    .arg("-x")
                    .args([&file, &root])
                    .status()?;
                ensure!(unpacked.success(), "{} cannot be unpacked", file.display());
            }
            // In an installed system /lib and /usr/lib are one.
            if root.join("lib").is_dir() {
                let copied = Command::new("cp")
                    .arg("-a")
                    .args([root.join("lib/."), root.join("usr/lib")])
                    .status()?;
                ensure!(copied.success(), "libraries cannot be copied");
            }
        }
        let first = packages.first().context("no packages")?;
        let version = files(&root)?
            .iter()
            .find_map(|file| version_of(file, first))
            .with_context(|| format!("there is no {first}"))?;
        Ok(Self { root, version })
    }
}

fn files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(root)?.map(|entry| Ok(entry?.path()));
    let paths: Vec<PathBuf> = entries.collect::<std::io::Result<_>>()?;
    let is_package = |path: &PathBuf| path.extension().is_some_and(|suffix| suffix == "deb");
    Ok(paths.into_iter().filter(is_package).collect())
}

/// The version in a package's file name, without what Debian adds.
fn version_of(file: &Path, package: &str) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    let rest = name.strip_prefix(package)?.strip_prefix('_')?;
    Some(rest.split(['+', '-', '%', '_']).next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_authors() {
        let version = |file: &str, package: &str| version_of(Path::new(file), package);
        assert_eq!(
            version("courier-imap_5.0.13+1.0.16-3+b6_amd64.deb", "courier-imap"),
            Some("5.0.13".to_owned())
        );
        assert_eq!(
            version("cyrus-imapd_3.6.1-4+deb12u5_amd64.deb", "cyrus-imapd"),
            Some("3.6.1".to_owned())
        );
        assert_eq!(version("cyrus-imapd-extra_1_all.deb", "cyrus-imapd"), None);
    }
}
