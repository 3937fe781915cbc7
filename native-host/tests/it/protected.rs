//! The host's memory is nobody else's: no core dump, and no other process of the same person may read it.

#![cfg(target_os = "linux")]

use std::os::unix::{fs::MetadataExt as _, process::CommandExt as _};

use crate::lab::{Host, Machine, extension_id};

#[test]
fn the_process_leaves_no_core_and_cannot_be_looked_into() {
    let machine = Machine::bare();
    let is_root = rustix::process::getuid().is_root();
    let mut command = machine.command(env!("CARGO_BIN_EXE_latchkey"));
    command.arg(format!("chrome-extension://{}/", extension_id()));
    if is_root {
        // Another group than root's, so that something tells root's process from one that is set apart.
        command.gid(1);
    }
    let mut host = Host::spawn(command);
    // Answered after the handshake, and so after the first thing that the process does.
    host.hello();
    let process = format!("/proc/{}", host.child.id());

    let limits = std::fs::read_to_string(format!("{process}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let [soft, hard] = core.split_whitespace().skip(4).take(2).collect::<Vec<_>>().try_into().unwrap();
    assert_eq!([soft, hard], ["0", "0"], "{core}");

    // proc(5): the files of a process that is not dumpable belong to root and its group, whoever runs it.
    let owner = std::fs::metadata(format!("{process}/mem")).unwrap();
    assert_eq!((owner.uid(), owner.gid()), (0, 0));
    assert!(is_root || std::fs::File::open(format!("{process}/mem")).is_err());
    assert!(host.close().success());
}
