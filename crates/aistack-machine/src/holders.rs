//! Which processes hold which sockets: `/proc/PID/fd/N -> socket:[inode]`.
//!
//! Every descriptor of every process is looked at once. This is nearly all of
//! what the whole question costs, so it is done with bare system calls on open
//! directories, without an allocation a descriptor, and on several processors.

use std::collections::HashMap;
use std::ffi::CStr;
use std::io::Read;
use std::mem::MaybeUninit;
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, RawDir, openat, readlinkat_raw};
use rustix::io::Errno;

use crate::command::below;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// More threads than this only wait for each other in the kernel.
const MOST_THREADS: usize = 8;

/// What `/proc` says of a process that holds a wanted socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// `/proc/PID/comm`; none: it has ended.
    pub comm: Option<Vec<u8>>,
    /// `/proc/PID/cgroup`.
    pub cgroup: Option<Vec<u8>>,
}

/// The processes of a machine and the sockets that they hold.
#[derive(Debug, Default)]
pub struct Holders {
    /// Process ids by socket inode, in order.
    pids: HashMap<u64, Vec<u32>>,
    /// What the holders say of themselves.
    told: HashMap<u32, Told>,
    /// Every process that was there.
    pub all: Vec<u32>,
    /// How many processes did not show their descriptors.
    pub hidden: usize,
}

impl Holders {
    /// Looks for the holders of `wanted` (inodes) among the processes below `root`.
    ///
    /// A process that ends meanwhile holds nothing; one of another user, without
    /// root, is counted as hidden.
    ///
    /// # Errors
    /// When `/proc` itself can't be listed.
    pub fn find(root: &Path, wanted: &[u64]) -> Result<Self, Errno> {
        let (proc, all) = processes(root)?;
        let mut wanted = wanted.to_vec();
        wanted.sort_unstable();
        wanted.dedup();

        let threads = thread::available_parallelism()
            .map_or(1, NonZero::get)
            .clamp(1, MOST_THREADS)
            .min(all.len() / 32 + 1);
        let next = AtomicUsize::new(0);
        let work = || {
            let (mut found, mut told, mut hidden) = (Vec::new(), Vec::new(), 0);
            while let Some(&pid) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                let before = found.len();
                let seen = sockets_of(&proc, pid, &mut |inode| {
                    if wanted.binary_search(&inode).is_ok() {
                        found.push((inode, pid));
                    }
                });
                // Any other error: it has ended.
                if let Err(Errno::ACCESS | Errno::PERM) = seen {
                    hidden += 1;
                }
                // Here, where it is spread over the processors and as soon as can be.
                if found.len() > before {
                    let comm = small_file(&proc, &format!("{pid}/comm"));
                    let cgroup = small_file(&proc, &format!("{pid}/cgroup"));
                    told.push((pid, Told { comm, cgroup }));
                }
            }
            (found, told, hidden)
        };
        let parts: Vec<_> = if threads == 1 {
            vec![work()]
        } else {
            thread::scope(|scope| {
                let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
                let mut parts = vec![work()];
                parts.extend(others.into_iter().filter_map(|other| other.join().ok()));
                parts
            })
        };
        let mut pids: HashMap<u64, Vec<u32>> = HashMap::with_capacity(wanted.len());
        let (mut told, mut hidden) = (HashMap::new(), 0);
        for (found, part_told, part_hidden) in parts {
            told.extend(part_told);
            hidden += part_hidden;
            for (inode, pid) in found {
                pids.entry(inode).or_default().push(pid);
            }
        }
        for holders in pids.values_mut() {
            holders.sort_unstable();
            holders.dedup();
        }
        Ok(Self {
            pids,
            told,
            all,
            hidden,
        })
    }

    /// The processes that hold a socket, in order of their ids.
    #[must_use]
    pub fn of(&self, inode: u64) -> &[u32] {
        self.pids.get(&inode).map_or(&[], Vec::as_slice)
    }
}

impl Holders {
    /// What a holder of a wanted socket said of itself. None: it is no holder.
    pub(crate) fn told(&self, pid: u32) -> Option<&Told> {
        self.told.get(&pid)
    }
}

/// `/proc` below `root`, and the processes that it has, in order of their ids.
///
/// # Errors
/// When it can't be listed.
pub(crate) fn processes(root: &Path) -> Result<(OwnedFd, Vec<u32>), Errno> {
    let path = below(root, Path::new("/proc"));
    let proc = openat(CWD, path, DIRECTORY, Mode::empty())?;
    let mut all = Vec::new();
    for_each_name(&proc, &mut |name| all.extend(number(name.to_bytes())))?;
    all.sort_unstable();
    Ok((proc, all))
}

/// A file of some hundred bytes below an open directory, in as few system calls as
/// can be. None: it can't be read.
fn small_file(directory: &OwnedFd, name: &str) -> Option<Vec<u8>> {
    let file = openat(
        directory,
        name,
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .ok()?;
    let mut buffer = [0_u8; 4096];
    let length = rustix::io::read(&file, &mut buffer).ok()?;
    let mut text = buffer.get(..length)?.to_vec();
    // The kernel gives such files in one piece unless the buffer is full.
    if length == buffer.len() {
        std::fs::File::from(file).read_to_end(&mut text).ok()?;
    }
    Some(text)
}

/// The inodes of all sockets that one process holds.
#[must_use]
pub fn sockets(root: &Path, pid: u32) -> Vec<u64> {
    let mut inodes = Vec::new();
    // A process that has ended or is hidden has none to show.
    if let Ok(proc) = openat(
        CWD,
        below(root, Path::new("/proc")),
        DIRECTORY,
        Mode::empty(),
    ) {
        let _ = sockets_of(&proc, pid, &mut |inode| inodes.push(inode));
    }
    inodes
}

fn sockets_of(proc: &OwnedFd, pid: u32, each: &mut dyn FnMut(u64)) -> Result<(), Errno> {
    let descriptors = openat(proc, format!("{pid}/fd"), DIRECTORY, Mode::empty())?;
    let mut refused = None;
    for_each_name(&descriptors, &mut |name| {
        let mut target = [MaybeUninit::<u8>::uninit(); 48];
        match readlinkat_raw(&descriptors, name, &mut target) {
            Ok((target, _)) => {
                if let Some(inode) = target.strip_prefix(b"socket:[").and_then(number_prefix) {
                    each(inode);
                }
            }
            Err(error @ (Errno::ACCESS | Errno::PERM)) => refused = Some(error),
            // Closed meanwhile, or `.` and `..`.
            Err(_) => {}
        }
    })?;
    refused.map_or(Ok(()), Err)
}

fn for_each_name(directory: &OwnedFd, each: &mut dyn FnMut(&CStr)) -> Result<(), Errno> {
    let mut buffer = [MaybeUninit::<u8>::uninit(); 8192];
    let mut entries = RawDir::new(directory, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if entry.file_name().to_bytes().first() != Some(&b'.') {
            each(entry.file_name());
        }
    }
    Ok(())
}

fn number(name: &[u8]) -> Option<u32> {
    std::str::from_utf8(name).ok()?.parse().ok()
}

/// The number before the closing bracket.
fn number_prefix(text: &[u8]) -> Option<u64> {
    let digits = text.split(|&byte| byte == b']').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
