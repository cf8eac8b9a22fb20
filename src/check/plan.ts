/** A plan against the profile and the calibration it names: are they the same still, and is this still the plan? */
import type { Calibration } from "../schema/calibration.js";
import { deviceSays, differingDeviceKeys, type InputRef } from "../schema/common.js";
import type { Kind } from "../schema/document.js";
import type { Plan } from "../schema/plan.js";
import type { Profile } from "../schema/profile.js";
import { type Checked, isOfKind, type Opened, type OpenInput, sameness } from "./documents.js";
import { type Finding, finding } from "./findings.js";
import { modelFindings } from "./model.js";
import { solvedFindings } from "./solved-again.js";
import type { RememberingSolver } from "./solver.js";

type Role = "profile" | "calibration";
const KIND = { profile: "draftplan/profile", calibration: "draftplan/calibration" } as const satisfies Record<
  Role,
  Kind
>;

export interface PlanContext {
  open: OpenInput;
  solver: RememberingSolver;
  /** is this document without errors of its own? What is made from others says nothing. */
  isSound(checked: Checked): boolean;
}

/** An input that can be used, or why it cannot. */
type Input<T> = { checked: T } | { findings: Finding[] };

export function planInputFindings(plan: Checked<Plan>, context: PlanContext): Finding[] {
  const { inputs } = plan.document;
  if (inputs === undefined) return [];
  const opened = (role: Role) => context.open(inputs[role].path, plan.file);
  const profile = useInput<Checked<Profile>>(plan, "profile", opened("profile"), context);
  const calibration = useInput<Checked<Calibration>>(plan, "calibration", opened("calibration"), context);
  const unusable = [profile, calibration].flatMap((input) => ("findings" in input ? input.findings : []));
  const described = [
    ...("checked" in profile ? profileFindings(plan, profile.checked) : []),
    ...("checked" in calibration
      ? modelFindings(plan.file, plan.document.model, calibration.checked.document.model, "its calibration")
      : []),
  ];
  if (!("checked" in profile && "checked" in calibration)) {
    const changed = [
      ...("checked" in profile ? changeFindings(plan, "profile", inputs.profile, profile.checked, null) : []),
      ...("checked" in calibration
        ? changeFindings(plan, "calibration", inputs.calibration, calibration.checked, null)
        : []),
    ];
    return [...unusable, ...changed, ...described];
  }
  const mixed = mixedFindings(plan.file, profile.checked, calibration.checked);
  if (mixed.length > 0) return mixed;
  const solved = solvedFindings(plan, profile.checked, calibration.checked, context.solver);
  const changes = (["profile", "calibration"] as const).flatMap((role) => {
    const { checked } = role === "profile" ? profile : calibration;
    return changeFindings(plan, role, inputs[role], checked, solved);
  });
  return [...changes, ...described, ...solved];
}

function useInput<T extends Checked>(plan: Checked<Plan>, role: Role, opened: Opened, context: PlanContext): Input<T> {
  const where = `inputs.${role}.path`;
  const without = "the plan was not solved again";
  const unavailable = (why: string) => ({
    findings: [finding("INPUT_UNAVAILABLE", plan.file, where, `${why}, so ${without}`)],
  });
  switch (opened.state) {
    case "missing":
      return unavailable(`${opened.file} is not there`);
    case "faulty":
      return unavailable(`${opened.file} is no valid document`);
    case "read": {
      const { checked } = opened;
      if (!isOfKind(checked, KIND[role])) {
        const message = `${checked.file} is a ${checked.document.kind}, and a ${KIND[role]} is named here`;
        return { findings: [finding("INPUT_KIND", plan.file, where, message)] };
      }
      if (!context.isSound(checked)) return unavailable(`${checked.file} has faults of its own`);
      return { checked: checked as Checked as T };
    }
  }
}

/**
 * The digest recorded is of bytes. Content that is provably another is an error even where it gives the same plan: the
 * plan was not made from it. Where it cannot be proved, what solving again gave decides.
 * @param solved what solving again found; null where it could not be done
 */
function changeFindings(
  plan: Checked<Plan>,
  role: Role,
  recorded: InputRef,
  checked: Checked,
  solved: readonly Finding[] | null,
): Finding[] {
  const state = sameness(recorded.sha256, checked);
  if (state === "same") return [];
  const isPlan = solved?.every(({ severity }) => severity !== "error") ?? false;
  const where = `inputs.${role}.sha256`;
  if (state === "unproven" && (isPlan || solved === null)) {
    const outcome = isPlan ? "; it gives this plan" : "";
    const message = `the bytes of ${checked.file} have changed since the plan was made, and as the file is not laid out as draftplan writes it, whether its content has cannot be told${outcome}`;
    return [finding("INPUT_UNPROVEN", plan.file, where, message)];
  }
  const outcome = solved === null ? "" : isPlan ? "; it still gives this plan" : "; solve again";
  const message = `${checked.file} is no longer the ${role} that the plan was made from${outcome}`;
  return [finding("INPUT_CHANGED", plan.file, where, message)];
}

function profileFindings(plan: Checked<Plan>, profile: Checked<Profile>): Finding[] {
  const { model, device } = plan.document;
  const other = profile.document;
  const found = modelFindings(plan.file, model, other.model, "its profile", false);
  if (device === undefined) return found;
  for (const key of differingDeviceKeys(device, other.device)) {
    const message = `${deviceSays(device, key)}, and its profile was measured with ${deviceSays(other.device, key)}`;
    found.push(finding("PLAN_DIFFERS", plan.file, `device.${key}`, message));
    if (key === "runtime") found.push(finding("RUNTIME_DIFFERS", plan.file, "device.runtime", message));
  }
  return found;
}

function mixedFindings(file: string, profile: Checked<Profile>, calibration: Checked<Calibration>): Finding[] {
  const mixed = (message: string) => finding("INPUTS_MIXED", file, "inputs", message);
  const [p, c] = [profile.document, calibration.document];
  if (p.model.architecture_sha256 !== c.model.architecture_sha256)
    return [
      mixed(
        `${profile.file} is of ${p.model.name}, ${calibration.file} of ${c.model.name}: their architectures differ`,
      ),
    ];
  if (p.model.layers !== c.model.layers)
    return [mixed(`${profile.file} has ${p.model.layers} layers, ${calibration.file} ${c.model.layers}`)];
  return Object.entries(c.kernels).flatMap(([kernel, numerics]) => {
    const other = p.kernels[kernel as keyof typeof p.kernels];
    if (other === undefined || other === numerics) return [];
    return [mixed(`${kernel} means '${other}' in ${profile.file} and '${numerics}' in ${calibration.file}`)];
  });
}
