import { test } from "vitest";
import { readFileSync } from "node:fs";
import { openTokenizer } from "/work/main/src/tokenizer/open.js";
import { createTextStream } from "/work/main/src/tokenizer/stream.js";
test("x", async () => {
  let t0=performance.now();
  const u = await openTokenizer("/work/shared/models/union-10m"); console.log("union ms", performance.now()-t0);
  const g = JSON.parse(readFileSync("/work/shared/goldens/union-10m.json","utf8"));
  for (const c of g.generate) { const a=u.encode(c.prompt); if (JSON.stringify(a)!==JSON.stringify(c.prompt_ids)) console.log("BAD",c.prompt,a,c.prompt_ids);}
  t0=performance.now();
  const s = await openTokenizer("/work/shared/models/SmolLM2-135M-Instruct.Q4_1.gguf"); console.log("smol ms", performance.now()-t0);
  const gs = JSON.parse(readFileSync("/work/shared/goldens/smollm2.json","utf8"));
  for (const c of gs.tokenizer) { const a=s.encode(c.text); if (JSON.stringify(a)!==JSON.stringify(c.ids)) console.log("BAD",c.text,a,c.ids); if (s.decode(a)!==c.text) console.log("DEC",c.text,s.decode(a));
   const st=createTextStream(s); if (a.map(st.push).join("")+st.end()!==c.text) console.log("STREAM", c.text)}
  for (const c of gs.generate) { const r=s.renderChat([{role:"user",content:c.user}]); if(r!==c.chat) console.log("CHAT",r,c.chat); const a=s.encodeRendered(r); if (JSON.stringify(a)!==JSON.stringify(c.prompt_ids)) console.log("BAD",c.user,a,c.prompt_ids);}
  const text = readFileSync("/work/shared/DESIGN.md","utf8").repeat(5).slice(0,100000);
  for (const t of [u,s]) { t0=performance.now(); const ids=t.encode(text); console.log("100k enc", performance.now()-t0, ids.length); t0=performance.now(); t.decode(ids); console.log("dec", performance.now()-t0); const st=createTextStream(t); t0=performance.now(); let n=0; for(const id of ids) n+=st.push(id).length; console.log("stream", performance.now()-t0); 
   t0=performance.now(); t.encode("a".repeat(100000)); console.log("aaaa", performance.now()-t0);  t0=performance.now(); t.encode("\u{1F600}\u0301".repeat(25000)); console.log("emoji", performance.now()-t0);}
}, 60000);
