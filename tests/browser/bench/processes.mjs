// Memory of the processes that a browser has started, from what Linux says about each.
import fs from 'node:fs';

const commandLine = (pid) => fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
const line = (pid, name) => fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(new RegExp(`^${name}:\\s+(\\d+)`, 'm'))?.[1];
const mebibytes = (kibibytes) => Math.round(kibibytes / 1024 * 100) / 100;

// What a process may have ended meanwhile is not asked twice.
function tried(look) {
  try { return look(); } catch { return undefined; }
}

// The browser of a profile, and everything that it has started.
export function descendants(profile) {
  const parents = new Map();
  for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number)) {
    const parent = tried(() => Number(line(pid, 'PPid')));
    if (parent !== undefined) parents.set(pid, parent);
  }
  const own = new Set([...parents.keys()].filter((pid) => tried(() => commandLine(pid))?.includes(`--user-data-dir=${profile}`)));
  for (let before = -1; own.size !== before;) {
    before = own.size;
    for (const [pid, parent] of parents) if (own.has(parent)) own.add(pid);
  }
  return [...own];
}

// What these take together: all that is in memory, and the part that is theirs alone (no file stands behind it).
export function memory(pids, isMeant) {
  const found = pids.filter((pid) => isMeant(tried(() => commandLine(pid)) ?? ''));
  const sum = (name) => mebibytes(found.reduce((total, pid) => total + Number(tried(() => line(pid, name)) ?? 0), 0));
  return { processes: found.length, resident_mib: sum('VmRSS'), private_mib: sum('RssAnon') };
}
