//! What is moved.

use sim::chassis::image::Image;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use sun4v::time::SimTime;

/// What a guest starts from.
pub enum Boot {
    /// A boot image at the start of its memory.
    Rom(Vec<u8>),
    /// An ELF image that expects to be loaded.
    Image(Image),
}

/// What a moved run is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// One of which nothing is asked.
    Untouched,
    /// One that is suspended and resumed where it is, at the same moments: see the list
    /// of exceptions.
    Held,
}

/// A guest.
pub struct Spec {
    pub name: String,
    pub boot: Boot,
    pub vcpus: u8,
    pub base: u64,
    pub bytes: u64,
    /// Distance between boundaries.
    pub slice: SimTime,
    pub other: Other,
    pub crypto: bool,
    pub variables: BTreeMap<String, String>,
    /// What is typed at its console between moves.
    pub keys: &'static [u8],
    /// How long it is watched; `None` until it ends by itself.
    pub span: Option<SimTime>,
}

impl Spec {
    /// A benchmark guest: one virtual CPU, MMU off, to its end.
    pub fn bare(name: &str, image: Image) -> Self {
        let base = image.segments[0].ra & !0xffff;
        Self {
            name: name.into(),
            vcpus: 1,
            bytes: (image.end() - base).next_multiple_of(0x1_0000),
            base,
            boot: Boot::Image(image),
            slice: SimTime::us(20),
            other: Other::Untouched,
            crypto: false,
            variables: BTreeMap::new(),
            keys: b"",
            span: None,
        }
    }

    /// One of the images of `firmware/`.
    pub fn rom(name: &str, rom: Vec<u8>, vcpus: u8, span: SimTime) -> Self {
        Self {
            name: name.into(),
            boot: Boot::Rom(rom),
            vcpus,
            base: 0x800_0000,
            bytes: 16 << 20,
            slice: SimTime::us(10),
            other: Other::Held,
            crypto: false,
            variables: BTreeMap::new(),
            keys: b"",
            span: Some(span),
        }
    }
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn firmware(name: &str) -> Vec<u8> {
    std::fs::read(top().join("../firmware/images").join(name)).unwrap()
}

/// The guest of `guest.c`; `None`, said aloud, without a cross compiler.
pub fn everything() -> Option<Vec<u8>> {
    let (here, firmware) = (top().join("tests/continue"), top().join("../firmware"));
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (elf, bin) = (place.join("continue.elf"), place.join("continue.bin"));
    let flags = "-O2 -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Werror -m64 -mcpu=niagara2 \
                 -mno-vis3 -mno-vis4 -mno-fmaf -mno-cbcond -mno-subxc -ffreestanding -fno-pic -fno-pie \
                 -mcmodel=medlow -mno-app-regs -mno-fpu -fno-asynchronous-unwind-tables \
                 -fno-stack-protector -fno-strict-aliasing -fno-tree-loop-distribute-patterns \
                 -fno-common -nostdlib -static -no-pie -Wl,--build-id=none \
                 -Wl,--no-warn-rwx-segments -Wl,-z,noexecstack";
    let mut command = Command::new("sparc64-linux-gnu-gcc");
    command
        .args(flags.split_whitespace())
        .arg(format!("-I{}", firmware.join("include").display()))
        .arg(format!("-Wl,-T,{}", firmware.join("common/image.ld").display()))
        .args([firmware.join("common/bare.S"), here.join("second.S"), here.join("guest.c")])
        .arg("-o")
        .arg(&elf)
        .arg("-lgcc");
    match command.status() {
        Ok(status) => assert!(status.success(), "guest.c"),
        Err(why) => {
            eprintln!("SKIPPED: sparc64-linux-gnu-gcc: {why}; no guest with everything under way");
            return None;
        }
    }
    let mut command = Command::new("sparc64-linux-gnu-objcopy");
    let status = command.args(["-O", "binary"]).args([&elf, &bin]).status().unwrap();
    assert!(status.success());
    Some(std::fs::read(bin).unwrap())
}
