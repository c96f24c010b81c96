//! Who may import whom: reads the manifests and sources of every crate
//! and fails on a breach of ARCHITECTURE.md.

use std::fs;
use std::path::{Path, PathBuf};

const CRATES: [&str; 7] = [
    "store",
    "wire",
    "pop3d",
    "imapd",
    "pillarbox",
    "bench",
    "fuzz",
];

fn allowed(name: &str) -> &'static [&'static str] {
    match name {
        "store" | "wire" => &[],
        // Servers are measured over sockets; microbenchmarks import what they measure.
        "bench" => &["store", "imapd"],
        "pop3d" | "imapd" => &["store", "wire"],
        "pillarbox" | "fuzz" => &["store", "wire", "pop3d", "imapd"],
        other => panic!("unknown crate {other}"),
    }
}

fn directory(name: &str) -> PathBuf {
    let folder = match name {
        "pillarbox" => "server",
        "fuzz" => "../fuzz",
        other => other,
    };
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(folder)
}

fn is_test(file: &Path) -> bool {
    file.file_stem()
        .is_some_and(|stem| stem.to_string_lossy().ends_with("_tests"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("crate sources are readable") {
        let path = entry.expect("directory entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn manifests_name_only_allowed_crates() {
    for name in CRATES {
        let manifest = fs::read_to_string(directory(name).join("Cargo.toml")).expect("manifest");
        for other in CRATES {
            let named = manifest
                .lines()
                .any(|line| line.starts_with(&format!("{other}.workspace")));
            assert!(
                !named || allowed(name).contains(&other),
                "{name} must not depend on {other}"
            );
        }
    }
}

#[test]
fn protocols_and_store_know_no_runtime_socket_or_clock() {
    for name in ["store", "wire", "pop3d", "imapd"] {
        let mut files = Vec::new();
        sources(&directory(name).join("src"), &mut files);
        assert!(!files.is_empty(), "{name} has no sources");
        for file in files {
            let text = fs::read_to_string(&file).expect("source");
            for word in ["tokio::", "std::net::", "rustls::"] {
                assert!(!text.contains(word), "{} uses {word}", file.display());
            }
            if matches!(name, "pop3d" | "imapd" | "wire") {
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                for word in ["std::fs", "std::thread", "Instant::now()"] {
                    assert!(
                        !code.contains(word) || is_test(&file),
                        "{} uses {word}",
                        file.display()
                    );
                }
            }
        }
    }
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    for name in CRATES {
        let manifest = fs::read_to_string(directory(name).join("Cargo.toml")).expect("manifest");
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{name} has no workspace lints"
        );
    }
}
