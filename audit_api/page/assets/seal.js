// What the seal says of one call, in the details.

import { proofAddress, seal } from "./api.js";
import { element } from "./elements.js";
import { visible } from "./texts.js";
import { timeElement } from "./times.js";

const STATES = {
  not_yet: "Not sealed yet: it is within a second or two",
  before_the_seal: "Not sealed: it is older than the seal",
  not_sealed: "Not sealed",
  pruned: "Sealed; retention let go what a proof needs",
};

const SOON_MS = 2_000;
const LOOKS = 5;

/** Tell in `part` whether and how `call` is sealed; look again while it soon will be. */
export async function showSeal(part, call, looks = LOOKS) {
  try {
    const told = await seal(call);
    part.replaceChildren(...words(told, call));
    if (told.state === "not_yet" && looks > 1) {
      setTimeout(() => part.isConnected && showSeal(part, call, looks - 1), SOON_MS);
    }
  } catch (error) {
    part.replaceChildren(error.status === 409
      ? element("span", { class: "mark", role: "alert" }, visible(error.message))
      : element("span", { class: "hint" }, "not known"));
  }
}

function words(told, call) {
  if (told.state !== "sealed") {
    return [element("span", { title: told.detail }, STATES[told.state] ?? visible(told.detail))];
  }
  const [first, ...others] = told.anchors;
  const anchored = first === undefined
    ? ["Sealed, not anchored yet"]
    : ["Sealed, anchored ", timeElement(first.anchored_at), " by ", element("bdi", {}, visible(first.anchor)),
      others.length ? `, and by ${others.length} more` : ""];
  return [
    element("span", { title: told.detail }, ...anchored), element("br"),
    ...(told.refused
      ? [element("span", { class: "hint" }, "PostgreSQL refused it at first: its leaf is quarantined and holds"
          + " its hash. It was replayed later."), element("br")]
      : []),
    element("a", { href: proofAddress(call), download: "" }, "Download its proof"),
  ];
}
