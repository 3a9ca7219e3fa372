import { Accounts } from './accounting.ts';
import { CalloutQueue } from './callout.ts';
import type { Host } from './host.ts';
import { WaitChannel } from './operation.ts';
import { type Chooser, Scheduler } from './scheduler.ts';
import { SysctlRegistry } from './sysctl.ts';
import { Slicer } from './work.ts';

/** The services that every subsystem stands on, for one mount. */
export class Kernel {
  readonly host: Host;
  readonly callouts: CalloutQueue;
  readonly scheduler: Scheduler;
  readonly sysctls = new SysctlRegistry();
  readonly accounts: Accounts;
  readonly slicer: Slicer;

  constructor(host: Host, choose: Chooser | null = null) {
    this.host = host;
    this.accounts = new Accounts((sizeBytes) => host.hasMemory(sizeBytes));
    this.callouts = new CalloutQueue(host.clock);
    this.scheduler = new Scheduler(this.callouts, choose, this.accounts);
    this.slicer = new Slicer(host, this.scheduler);
  }

  channel(owner: unknown): WaitChannel {
    return new WaitChannel(this.scheduler, owner);
  }
}
