//! The sixteen benchmark guests, built once.
//!
//! `LDOMLAB_BENCH` names the folder (`../shared/bench` beside the repository when it
//! is unset). Without it, or without the compilers, that is said aloud.

use sim::chassis::image::Image;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Where the header keeps its work factor, after the magic.
const MAGIC_AT: usize = 8;
const N_AT: usize = 16;

/// Every program, and a work factor that is quick in a debug build.
const PROGRAMS: [(&str, u64); 16] = [
    ("aes", 1),
    ("chase", 1),
    ("coremix", 2),
    ("interp", 1),
    ("intmix", 1),
    ("lz", 1),
    ("mandel", 1),
    ("matmul", 1),
    ("memwalk", 1),
    ("mpmul", 1),
    ("nbody", 1),
    ("qsort", 1),
    ("recurse", 2),
    ("sha256", 1),
    ("sieve", 1),
    ("strops", 2),
];

fn folder() -> Option<PathBuf> {
    let folder = env::var_os("LDOMLAB_BENCH").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/bench"),
        PathBuf::from,
    );
    folder.join("Makefile").exists().then_some(folder)
}

/// The folder with the guests and the native programs, built once; `None`, said
/// aloud, when that is not possible here.
pub fn built() -> Option<&'static Path> {
    static BUILT: LazyLock<Option<PathBuf>> = LazyLock::new(build);
    BUILT.as_deref()
}

fn build() -> Option<PathBuf> {
    let Some(folder) = folder() else {
        eprintln!("SKIPPED: no benchmark guests (set LDOMLAB_BENCH)");
        return None;
    };
    let compiler = Command::new("sparc64-linux-gnu-gcc").arg("--version").output();
    if !compiler.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no sparc64-linux-gnu-gcc to build the benchmark guests");
        return None;
    }
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
    let made = Command::new("make")
        .args(["-s", "-C"])
        .arg(&folder)
        .args(["bare", "native"])
        .arg(format!("B={}", out.display()))
        .output()
        .expect("make runs");
    assert!(made.status.success(), "make: {}", String::from_utf8_lossy(&made.stderr));
    Some(out)
}

/// A guest with its work factor patched in.
fn image(out: &Path, name: &str, n: u64) -> Image {
    let file = out.join(format!("sun4v/{name}.elf"));
    let mut image = Image::read(&file).expect("make has built it");
    let head = &mut image.segments[0].bytes;
    assert_eq!(&head[MAGIC_AT..N_AT], b"SUN4VBEN", "{name}");
    head[N_AT..N_AT + 8].copy_from_slice(&n.to_be_bytes());
    image
}

/// All of them, with a work factor that is quick.
pub fn images() -> Vec<(&'static str, u64, Image)> {
    let Some(out) = built() else { return Vec::new() };
    PROGRAMS.iter().map(|&(name, n)| (name, n, image(out, name, n))).collect()
}
