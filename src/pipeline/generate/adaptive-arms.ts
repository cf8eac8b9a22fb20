/**
 * Arms of `--adapt`: of every drafter that may be run at a context what it accepts, what it costs, and what is asked for when
 * it is run.
 */
import { counted } from "../../core/text.js";
import type { AdaptiveDraft } from "../../decode/adaptive/arms.js";
import type { Curve } from "../../decode/adaptive/belief.js";
import type { Drafter } from "../../decode/drafters/drafter.js";
import { headsDrafter } from "../../decode/drafters/heads.js";
import { eitherOf } from "../../decode/drafters/hybrid.js";
import { type LookupDrafter, lookupDrafter } from "../../decode/drafters/lookup.js";
import { modelDrafter } from "../../decode/drafters/model.js";
import { selfDrafter } from "../../decode/drafters/self.js";
import { headsAmong, modelAmong, type Opened } from "../../decode/policy.js";
import { describeChoices } from "../../schema/choice.js";
import type { NgramTokens } from "../../schema/drafter.js";
import type { ContextData, SingleDrafter } from "../../solve/index.js";
import { curveFrom, type Evidence, lookupPrior } from "./adaptive-evidence.js";

/** Drafters as decoding runs them, each made once: arms that propose alike share what it holds. */
export class DrafterShelf {
  private readonly known = new Map<string, Drafter>();
  private readonly lookups = new Map<string, LookupDrafter>();
  private readonly told = new Set<string>();

  /** @param open heads and models that the plan drafts with */
  constructor(private readonly open: readonly Opened[]) {}

  /** null: it is not open, or not as asked for */
  single(drafter: SingleDrafter): Drafter | null {
    const made = this.make(drafter);
    if (made === null) return null;
    const known =
      this.known.get(made.key) ?? (drafter.kind === "heads" ? this.toldOnce(drafter.heads.sha256, made) : made);
    this.known.set(known.key, known);
    return known;
  }

  /** Heads with a layer over the text's states are told them once, however many trees they fill. */
  private toldOnce(sha256: string, drafter: Drafter): Drafter {
    const { states: _, ...deaf } = drafter;
    if (this.told.has(sha256)) return deaf;
    this.told.add(sha256);
    return drafter;
  }

  lookup(ngramTokens: NgramTokens): LookupDrafter {
    const made = lookupDrafter(ngramTokens);
    const known = this.lookups.get(made.key) ?? made;
    this.lookups.set(made.key, known);
    return known;
  }

  private make(drafter: SingleDrafter): Drafter | null {
    switch (drafter.kind) {
      case "self":
        return selfDrafter(drafter.set);
      case "heads": {
        const heads = headsAmong(this.open, drafter.heads.sha256);
        const fits = heads !== undefined && drafter.tree.every((path) => path.every((rank) => rank < heads.ranks));
        return fits ? headsDrafter(heads, drafter.tree) : null;
      }
      case "model": {
        const { weightsSha256, kernel } = drafter;
        const model = modelAmong(this.open, weightsSha256);
        return model?.cache.engine.kernels.includes(kernel) ? modelDrafter(model, kernel) : null;
      }
    }
  }
}

/** @param longest draft that it is weighed to; of a tree its depth is the most */
export function singleArm(
  drafter: SingleDrafter,
  running: Drafter,
  evidence: Evidence,
  longest: number,
): AdaptiveDraft {
  if (drafter.kind !== "heads") {
    const told = drafter.kind === "self" ? describeChoices(drafter.set) : `${drafter.name} in ${drafter.kernel}`;
    return { ...curveFrom(running.key, evidence, longest), drafter: running, told };
  }
  const { tree } = drafter;
  const nodes = (depth: number) => tree.filter(({ length }) => length <= depth).length;
  return {
    ...curveFrom(running.key, evidence, drafter.rows.length),
    drafter: running,
    told: `heads, ${counted(tree.length, "node")}`,
    nodes,
    verifyUs: ({ verifyUs, verifyTreeUs }, n, depth) =>
      // a tree that is a chain is run as one
      nodes(depth) === depth || verifyTreeUs === undefined ? verifyUs(n, nodes(depth)) : verifyTreeUs(n, nodes(depth)),
  };
}

export function lookupArm(
  context: ContextData,
  ngramTokens: NgramTokens,
  shelf: DrafterShelf,
  longest: number,
): AdaptiveDraft {
  const prior = lookupPrior(context, ngramTokens, longest);
  const drafter = shelf.lookup(ngramTokens);
  return {
    ...prior.curve,
    key: drafter.key,
    drafter,
    told: `a lookup from ${counted(ngramTokens.min, "token")}`,
    lookup: { ...prior, minMatch: ngramTokens.min, maxNgram: ngramTokens.max, alone: true, draftTokens: longest },
  };
}

export interface Beside {
  minMatch: number;
  ngramTokens: NgramTokens;
  lookupTokens: number;
}

export const hybridKey = ({ minMatch, lookupTokens }: Beside, otherwiseKey: string): string =>
  `hybrid ${minMatch} ${lookupTokens} ${otherwiseKey}`;

/** A lookup in front of another arm, which keeps what is believed of it. */
export function hybridArm(
  context: ContextData,
  other: AdaptiveDraft,
  beside: Beside,
  shelf: DrafterShelf,
  longest: number,
): AdaptiveDraft {
  const { minMatch, ngramTokens, lookupTokens } = beside;
  const prior = lookupPrior(context, { min: minMatch, max: ngramTokens.max }, longest);
  const lookup = shelf.lookup(ngramTokens);
  const { drafter: otherwise, key: otherKey, hazards, spread } = other;
  const key = hybridKey(beside, otherKey);
  const curve: Curve = { key: otherKey, hazards, spread };
  const made = new Map<number, Drafter>();
  /** both follow the text by themselves, so one of these is only their choice */
  const choosing = (otherwiseTokens: number): Drafter => {
    const known = made.get(otherwiseTokens) ?? {
      key: `${key} ${otherwiseTokens}`,
      draft: eitherOf(lookup, otherwise, { minMatch, lookupTokens, otherwiseTokens }),
      costUs: otherwise.costUs,
    };
    made.set(otherwiseTokens, known);
    return known;
  };
  return {
    ...other,
    key,
    curve,
    told: `a lookup from ${counted(minMatch, "token")}, else ${other.told ?? otherKey}`,
    holders: [lookup, otherwise],
    request: (d) => ({ drafter: choosing(d), draftTokens: Math.max(d, lookupTokens) }),
    lookup: { ...prior, minMatch, maxNgram: ngramTokens.max, alone: false, draftTokens: lookupTokens },
  };
}
