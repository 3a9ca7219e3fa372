import type { Capabilities } from '../common/capabilities.ts';

/** What our own protocol can do: everything, but for mappings of the memory itself, which need a right and a kernel. */
export function rawCapabilities(passthrough: boolean): Capabilities {
  return {
    poll: true,
    interrupt: true,
    ioctl: true,
    manyWaits: true,
    callerUser: true,
    callerProcess: true,
    perOpenDirectIo: true,
    sameFile: true,
    inodeNumbers: true,
    passthrough,
    sigpipe: true,
    mkfifo: true,
    createInOneStep: true,
    statusFlags: true,
    unseekable: true,
    streams: true,
    openSizes: true,
    independentOpens: true,
    removeWhileBlocked: true,
    removeWhileOpening: true,
    orderedClose: true,
    renameFlags: true,
    separateTimes: true,
    anyName: true,
    locks: true,
    extendedAttributes: true,
  };
}
