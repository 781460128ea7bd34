// SPDX-License-Identifier: GPL-3.0-or-later
// Prisma leaves a timer of 10 s behind that keeps the process alive after its work.
const setTimer = globalThis.setTimeout;
globalThis.setTimeout = (work, delay, ...rest) => {
  const timer = setTimer(work, delay, ...rest);
  return delay === 10000 ? timer.unref() : timer;
};
