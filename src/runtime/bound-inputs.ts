/**
 * Inputs of a session. A host tensor is bound once and then written to in place, but where the session wants an input on
 * a device, binding makes a copy, and later writes are not seen: such an input is bound again before a pass.
 */
import type { OrtApi, Pointer } from "./ort-api.js";

/** When the contents of an input change. */
export type Changes = "never" | "with the choices" | "every pass";

export class BoundInputs {
  private readonly copies: Record<Changes, [name: string, tensor: Pointer][]> = {
    never: [],
    "with the choices": [],
    "every pass": [],
  };

  /** @param copied names of the inputs that binding copies; none on the CPU */
  constructor(
    private readonly api: Pick<OrtApi, "check">,
    private readonly binding: Pointer,
    private readonly copied: ReadonlySet<string>,
  ) {}

  bind(name: string, tensor: Pointer, changes: Changes): void {
    this.api.check("BindInput", this.binding, name, tensor);
    if (this.copied.has(name)) this.copies[changes].push([name, tensor]);
  }

  /** Copies what changed. */
  refresh(changes: Changes): void {
    for (const [name, tensor] of this.copies[changes]) this.api.check("BindInput", this.binding, name, tensor);
  }

  isCopied(name: string): boolean {
    return this.copied.has(name);
  }
}
