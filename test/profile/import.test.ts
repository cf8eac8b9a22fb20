/** A table of latencies becomes a profile, or is refused with the line at fault. */
import { describe, expect, test } from "vitest";
import { importTable } from "../../src/profile/import/import.js";
import { Profile } from "../../src/schema/profile.js";
import { openLatency } from "../../src/solve/latency.js";
import { profile as example } from "../support/example-documents.js";
import { expectFailure, failureOf } from "../support/failure.js";
import { uniform } from "../support/numbers.js";

const HEADER = "component,choice,context_tokens,query_tokens,us,layer";
/** Two layers, one context, one token in the pass. */
const LEAST = ["fixed,,64,1,10,", "head,target,64,1,50,", "attn,target,64,1,20,", "mlp,target,64,1,30,"];
const LOOP = ["round,,,,7,", "step,,,,3,"];
const table = (...rows: string[]) => `${[HEADER, ...rows].join("\n")}\n`;
const read = (text: string, layers = 2) => importTable(text, layers, "t.csv");
const asDocument = ({ wholePass, ...measured }: ReturnType<typeof importTable>): Profile => {
  const { sampling: _none, attention_line: _line, ...rest } = example();
  return { ...rest, imported: { source: "t.csv", sha256: "a".repeat(64), whole_pass: wholePass }, ...measured };
};

describe("a table", () => {
  test("becomes points, a grid and the loop's overhead; an empty layer means every layer", () => {
    const imported = read(table(...LEAST, "attn,int8,64,1,8,", "mlp,int8,64,1,11,", "head,int8,64,1,20,", ...LOOP));
    expect(imported).toEqual({
      grid: { context_tokens: [64], query_tokens: [1] },
      points: [
        {
          ...{ context_tokens: 64, query_tokens: 1, fixed_us: 10, head_us: { target: 50, int8: 20 } },
          ...{ attn_us: { target: [20, 20], int8: [8, 8] }, mlp_us: { target: [30, 30], int8: [11, 11] } },
          ...{ whole_target_us: 160, residual_percent: 0 },
        },
      ],
      loop: { round_us: 7, step_us: 3 },
      attention_line: [],
      wholePass: "summed",
    });
  });

  test("may give every layer by itself, in any order", () => {
    const layers = ["attn,target,64,1,22,1", "attn,target,64,1,21,0"];
    const { points } = read(table(...LEAST.filter((row) => !row.startsWith("attn")), ...layers, ...LOOP));
    expect(points[0].attn_us).toEqual({ target: [21, 22] });
    expect(points[0].whole_target_us).toBe(10 + 50 + 43 + 60);
  });

  test("may give whole passes: they stand beside the sum of the parts", () => {
    const { points, wholePass } = read(table(...LEAST, "whole,target,64,1,200,", ...LOOP));
    expect({ wholePass, us: points[0].whole_target_us }).toEqual({ wholePass: "measured", us: 200 });
    expect(points[0].residual_percent).toBe(20); // 160 of 200
    expect(read(table(...LEAST, "whole,,64,1,200,", ...LOOP)).wholePass).toBe("measured");
  });

  test("may have its columns in another order, and none for the layer", () => {
    const text = ["us,query_tokens,context_tokens,choice,component", "10,1,64,,fixed", "50,1,64,target,head"];
    const more = ["20,1,64,target,attn", "30,1,64,target,mlp", "7,,,,round", "3,,,,step"];
    expect(read([...text, ...more].join("\n"))).toEqual(read(table(...LEAST, ...LOOP)));
  });

  const plain = table(...LEAST, ...LOOP);
  test.each([
    ["a byte order mark before a quote", `\ufeff${plain.replace("component", '"component"')}`],
    ["CRLF line ends", plain.replaceAll("\n", "\r\n")],
    ["CR line ends", plain.replaceAll("\n", "\r")],
    ["no line end at the end", plain.trimEnd()],
    ["empty lines", plain.replaceAll("\n", "\n\n")],
    ["quotes", plain.replaceAll("target", '"target"').replace("us,layer", '"us",layer')],
    ["spaces around cells", plain.replaceAll(",", " , ")],
    ["numbers with exponents", plain.replace(",50,", ",5e1,").replace(",20,", ",+20.0,").replace(",30,", ",.3E2,")],
  ])("with %s is the same", (_what, text) => {
    expect(read(text)).toEqual(read(plain));
  });

  test.each([1, 2, 3])("holds what a random profile holds, to the last bit: seed %i", (seed) => {
    const next = uniform(seed);
    const [contexts, queries, layers] = [[0, 64, 1000], [1, 2, 9], 3];
    const us = () => 1000 * next();
    const points = contexts.flatMap((n) =>
      queries.map((q) => {
        const kernels = q === 1 ? (["target", "int8"] as const) : (["target"] as const);
        const of = <T>(value: () => T) => Object.fromEntries(kernels.map((kernel) => [kernel, value()]));
        const perLayer = () => of(() => Array.from({ length: layers }, us));
        const parts = { fixed_us: us(), head_us: of(us), attn_us: perLayer(), mlp_us: perLayer() };
        return { context_tokens: n, query_tokens: q, ...parts, whole_target_us: us() };
      }),
    );
    const rows = points.flatMap((p) => {
      const at = `${p.context_tokens},${p.query_tokens}`;
      const blocks = (["attn", "mlp"] as const).flatMap((kind) =>
        Object.entries(p[`${kind}_us`]).flatMap(([kernel, list]) =>
          list.map((value, layer) => `${kind},${kernel},${at},${value},${layer}`),
        ),
      );
      const heads = Object.entries(p.head_us).map(([kernel, value]) => `head,${kernel},${at},${value},`);
      return [`fixed,,${at},${p.fixed_us},`, `whole,,${at},${p.whole_target_us},`, ...heads, ...blocks];
    });
    const imported = importTable(table(...rows, ...LOOP), layers, "t.csv");
    expect(imported.points.map(({ residual_percent: _r, ...point }) => point)).toEqual(points);
    expect(imported.grid).toEqual({ context_tokens: contexts, query_tokens: queries });
    expect(imported.attention_line.map(({ kernel }) => kernel)).toEqual(["target", "int8"]);
  });

  test("becomes a valid document that latencies are read from", () => {
    const far = LEAST.map((row) =>
      row.replace(",64,", ",256,").replace("attn,target,256,1,20", "attn,target,256,1,40"),
    );
    const document = asDocument(read(table(...LEAST, ...far, ...LOOP)));
    expect(Profile.safeParse(document).error).toBeUndefined();
    expect(openLatency(document).stepUs(160)).toBe(10 + 50 + 2 * (30 + 30) + 3);
  });

  test("a profile without sampling that was not imported is refused", () => {
    const { imported: _none, ...document } = asDocument(read(plain));
    expect(Profile.safeParse(document).error?.issues[0].path).toEqual(["sampling"]);
  });
});

describe("a table is refused, and the message names the line", () => {
  const two = (row: string) => table(...LEAST, row, ...LOOP); // the row stands on line 6
  test.each([
    ["a component that does not exist", two("norm,target,64,1,5,"), 6, /component "norm"/],
    ["a choice that does not exist", two("head,int3,64,1,5,"), 6, /choice "int3"/],
    ["a choice that costs nothing", two("attn,skip,64,1,5,"), 6, /choice "skip" has no latency/],
    ["no choice", two("head,,64,1,5,"), 6, /choice is empty/],
    ["a choice of the fixed part", two("fixed,int8,64,1,5,"), 6, /choice "int8" means nothing for fixed/],
    ["a whole pass at another choice", two("whole,int8,64,1,5,"), 6, /choice "int8"/],
    ["a layer of the head", two("head,int8,64,1,5,0"), 6, /layer "0" means nothing for head/],
    [
      "a context of the loop",
      table(...LEAST, "round,,64,,7,", LOOP[1]),
      6,
      /context_tokens "64" means nothing for round/,
    ],
    ["a negative latency", two("head,int8,64,1,-5,"), 6, /us "-5"/],
    ["a latency that is no number", two("head,int8,64,1,NaN,"), 6, /us "NaN"/],
    ["an endless latency", two("head,int8,64,1,Infinity,"), 6, /us "Infinity"/],
    ["a latency too large for a number", two("head,int8,64,1,1e999,"), 6, /us "1e999"/],
    ["no latency", two("head,int8,64,1,,"), 6, /us is empty/],
    ["a latency in hexadecimal", two("head,int8,64,1,0x10,"), 6, /us "0x10"/],
    ["a latency with its unit", two("head,int8,64,1,5 us,"), 6, /us "5 us"/],
    ["half a token", two("head,int8,64.5,1,5,"), 6, /context_tokens "64.5"/],
    ["a negative context", two("head,int8,-64,1,5,"), 6, /context_tokens "-64"/],
    ["no token in the pass", two("head,int8,64,0,5,"), 6, /query_tokens "0"/],
    ["half a layer", two("attn,int8,64,1,5,0.5"), 6, /layer "0.5"/],
    ["a layer the model does not have", two("attn,int8,64,1,5,2"), 6, /layer 2 of attn int8.*the model has 2, 0 to 1/],
    ["a part given twice", two("head,target,64,1,5,"), 6, /head target at 64.*given on line 3 already/],
    ["every layer given twice", two("attn,target,64,1,5,"), 6, /attn target at 64.*given on line 4 already/],
    [
      "every layer and one by itself",
      two("attn,target,64,1,5,1"),
      6,
      /for every layer and for single ones, on lines 4 and 6/,
    ],
    [
      "a layer given twice",
      table(LEAST[0], LEAST[1], LEAST[3], "attn,target,64,1,5,0", "attn,target,64,1,5,0", ...LOOP),
      ...([6, /layer 0 of attn target at 64.*given on line 5 already/] as const),
    ],
    ["the loop given twice", table(...LEAST, ...LOOP, "round,,,,8,"), 8, /round was given on line 6 already/],
    [
      "contexts that fall",
      table(...LEAST.map((row) => row.replace(",64,", ",256,")), ...LEAST, ...LOOP),
      ...([6, /context_tokens falls from 256 \(line 2\) to 64 within fixed/] as const),
    ],
    [
      "query lengths that fall",
      table(...LEAST, "head,int8,64,5,5,", "head,int8,64,1,5,", ...LOOP),
      ...([7, /query_tokens falls from 5 \(line 6\) to 1 within head int8/] as const),
    ],
    ["too few cells", two("head,int8,64,1,5"), 6, /not readable as CSV/],
    ["too many cells", two("head,int8,64,1,5,,"), 6, /not readable as CSV/],
    ["a quote that does not end", two('head,"int8,64,1,5,'), null, /not readable as CSV/],
    ["a quote in the middle of a cell", two('head,in"t8,64,1,5,'), 6, /not readable as CSV/],
    ["an unknown column", `${HEADER},note\n`, 1, /the header names "note", which is no column/],
    ["a column named twice", `${HEADER},us\n`, 1, /the header names "us" twice/],
    ["a column that is missing", "component,choice,context_tokens,query_tokens\nfixed,,64,1\n", 1, /no column us/],
    ["semicolons", table(...LEAST).replaceAll(",", ";"), 1, /which is no column/],
    ["no header", `${LEAST.join("\n")}\n`, 1, /"fixed", which is no column/],
    ["no row", `${HEADER}\n`, 1, /no row follows/],
    ["nothing at all", "", null, /empty/],
    ["UTF-16", Buffer.from(table(...LEAST), "utf16le").toString("utf8"), null, /not UTF-8/],
  ])("%s", async (_what, text, line, message) => {
    const failure = await failureOf(() => read(text));
    expect({ code: failure.code, exit: failure.exitCode, what: failure.what }).toEqual({
      ...{ code: "CSV_INVALID", exit: 3, what: expect.stringMatching(message) },
    });
    if (line !== null) expect(failure.at).toBe(`t.csv: line ${line}`);
    else expect(failure.at).toMatch(/^t\.csv/);
    expect(failure.remedy).not.toBe("");
  });

  test("lines are those of the file, empty ones counted, whatever ends them", async () => {
    const text = table(...LEAST, "", "", "head,int8,64,1,-1,", ...LOOP);
    for (const ends of ["\n", "\r\n", "\r"])
      expect((await failureOf(() => read(text.replaceAll("\n", ends)))).at).toBe("t.csv: line 8");
  });
});

describe("a table with something missing is refused", () => {
  test.each(LEAST.map((row) => [row.split(",").slice(0, 2).filter(Boolean).join(" "), row]))(
    "%s",
    async (name, row) => {
      const text = table(...LEAST.filter((other) => other !== row), ...LOOP);
      await expectFailure(
        () => read(text),
        "CSV_INVALID",
        `there is no ${name} at 64 tokens of context with 1 in the pass`,
      );
    },
  );

  test.each(["round", "step"])("%s", async (name) => {
    const text = table(...LEAST, ...LOOP.filter((row) => !row.startsWith(name)));
    await expectFailure(() => read(text), "CSV_INVALID", `there is no row for ${name}`);
  });

  test("one place of the grid", async () => {
    const at = (n: number, q: number) => LEAST.map((row) => row.replace(",64,1,", `,${n},${q},`));
    const full = [...at(64, 1), ...at(64, 5), ...at(256, 1), ...at(256, 5)];
    expect(read(table(...full, ...LOOP)).points.length).toBe(4);
    await expectFailure(
      () => read(table(...full.slice(0, -4), ...LOOP)),
      "CSV_INVALID",
      "no fixed at 256 tokens of context with 5 in the pass",
    );
  });

  test("one layer of several", async () => {
    const text = table(LEAST[0], LEAST[1], LEAST[3], "attn,target,64,1,5,1", ...LOOP);
    await expectFailure(() => read(text), "CSV_INVALID", /layer 0 of attn target is missing at 64.*begin on line 5/);
  });

  test("a whole pass, where another place has one", async () => {
    const far = LEAST.map((row) => row.replace(",64,", ",256,"));
    const text = table(...LEAST, "whole,,64,1,160,", ...far, ...LOOP);
    await expectFailure(() => read(text), "CSV_INVALID", "there is no whole at 256 tokens");
  });

  test.each([
    ["at this place", "head,int8,64,1,5,", "there is no attn int8 at 64 tokens of context with 1 in the pass"],
    [
      "at one token, where it is given at more",
      "head,int8,64,5,5,",
      "there is no head int8 at 64 tokens of context with 1",
    ],
  ])("the other parts of a kernel %s", async (_where, row, message) => {
    const wide = LEAST.map((other) => other.replace(",64,1,", ",64,5,"));
    await expectFailure(() => read(table(...LEAST, ...wide, row, ...LOOP)), "CSV_INVALID", message);
  });

  test("a pass of one token", async () => {
    const text = table(...LEAST.map((row) => row.replace(",64,1,", ",64,2,")), ...LOOP);
    await expectFailure(() => read(text), "CSV_INVALID", "no pass of one token is given");
  });

  test("any time at all", async () => {
    const text = table(...LEAST.map((row) => row.replace(/,\d+,$/, ",0,")), ...LOOP);
    await expectFailure(() => read(text), "CSV_INVALID", "the whole pass takes no time");
  });
});

test("a table too large for a document that can be read again is refused", async () => {
  const rows = Array.from({ length: 300 }, (_, i) => LEAST.map((row) => row.replace(",64,", `,${i},`))).flat();
  expect(read(table(...rows, ...LOOP), 2).points.length).toBe(300);
  await expectFailure(() => read(table(...rows, ...LOOP), 1000), "CSV_INVALID", "too large a profile");
});

describe("rows of several sequences", () => {
  const BATCHED = `${HEADER},batch`;
  const alone = [...LEAST, ...LOOP].map((row) => `${row},`);
  const batched = (...rows: string[]) => [BATCHED, ...alone, ...rows].join("\n");

  test("of batch 1, or without a number, are the profile itself", () => {
    const ones = [BATCHED, ...[...LEAST, ...LOOP].map((row, i) => `${row},${i % 2 === 0 ? 1 : ""}`)].join("\n");
    expect(read(ones)).toEqual(read(table(...LEAST, ...LOOP)));
  });

  test("may be whole passes alone, with the loop's own time or without", () => {
    const { batches } = read(batched("whole,,64,1,300,,8", "round,,,,9,,8", "whole,,64,1,250,,2"));
    expect(batches).toEqual([
      { batch: 2, parts: "scaled", points: [{ context_tokens: 64, query_tokens: 1, whole_target_us: 250 }] },
      {
        ...{ batch: 8, parts: "scaled", round_us: 9 },
        points: [{ context_tokens: 64, query_tokens: 1, whole_target_us: 300 }],
      },
    ]);
  });

  test("may have all parts", () => {
    const { batches } = read(batched(...LEAST.map((row) => `${row},4`)));
    expect(batches?.[0]).toEqual({
      ...{ batch: 4, parts: "measured" },
      points: [
        {
          ...{ context_tokens: 64, query_tokens: 1, whole_target_us: 160, fixed_us: 10, head_us: { target: 50 } },
          ...{ attn_us: { target: [20, 20] }, mlp_us: { target: [30, 30] } },
        },
      ],
    });
  });

  test.each([
    ["a context that batch 1 has not", "whole,,65,1,300,,8", /65 tokens of context .* not measured for one sequence/],
    ["a query length that batch 1 has not", "whole,,64,2,300,,8", /with 2 in the pass were not measured/],
    ["a pass twice", "whole,,64,1,300,,8\nwhole,,64,1,301,,8", /given on line 8 already/],
    ["parts without the rest", "fixed,,64,1,300,,8", /there is no head target/],
    ["a loop without passes", "round,,,,9,,8", /batch 8 has no pass/],
    ["a round twice", "whole,,64,1,300,,8\nround,,,,9,,8\nround,,,,9,,8", /round at batch 8 was given on line 9/],
    ["a pass that takes no time", "whole,,64,1,0,,8", /takes no time/],
    ["no sequences", "whole,,64,1,300,,0", /batch "0"/],
    ["half a sequence", "whole,,64,1,300,,1.5", /batch "1.5"/],
    ["too many", "whole,,64,1,300,,8193", /at most 8192/],
  ])("are refused: %s", async (_what, rows, message) => {
    const failure = await failureOf(() => read(batched(rows)));
    expect(failure.code).toBe("CSV_INVALID");
    expect(`${failure.message} ${failure.remedy}`).toMatch(message);
  });

  test("must have every query length at each of their contexts", async () => {
    const two = [...LEAST, ...LEAST.map((row) => row.replace(",64,1,", ",64,3,")), ...LOOP].map((row) => `${row},`);
    const failure = await failureOf(() => read([BATCHED, ...two, "whole,,64,1,300,,8"].join("\n")));
    expect(failure.message).toMatch(/no whole pass at 64 tokens of context with 3/);
    expect(failure.remedy).toContain("whole,,64,3,MICROSECONDS,,8");
  });
});
