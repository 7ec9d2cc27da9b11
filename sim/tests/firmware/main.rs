//! The guest firmware bears a client that asks for random things (`client.c`): 10^5 calls,
//! and everything is as it was. Skipped, loudly, without a cross compiler.

use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_hundred_thousand_random_calls_change_nothing_of_the_clients() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = top.join("tests/firmware");
    let client = Path::new(env!("CARGO_TARGET_TMPDIR")).join("client.elf");
    let flags = "-O2 -Wall -Werror -Wno-unused-parameter -m64 -mcpu=niagara2 -mno-vis3 -ffreestanding \
                 -fno-pic -mcmodel=medlow -mno-fpu -nostdlib -static -no-pie -Wl,--build-id=none";
    let built = Command::new("sparc64-linux-gnu-gcc")
        .args(flags.split_whitespace())
        .arg(format!("-Wl,-T,{}", source.join("client.ld").display()))
        .arg("-o")
        .args([&client, &source.join("client.c")])
        .arg("-lgcc")
        .status();
    match built {
        Ok(status) => assert!(status.success(), "client.c"),
        Err(why) => {
            eprintln!("SKIPPED: sparc64-linux-gnu-gcc: {why}; the firmware was not asked anything");
            return;
        }
    }
    let ldomlab = std::env::var_os("LDOMLAB_BIN")
        .map_or_else(|| env!("CARGO_BIN_EXE_ldomlab").into(), |name| top.join("..").join(name));
    let output = Command::new(ldomlab)
        .args(["boot", "--vcpus", "1", "--append", "1", "--for", "600s", "--kernel"])
        .arg(&client)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("client: 100000 calls of 32 services"), "{text}");
    assert_eq!(output.status.code(), Some(0), "{text}");
}
