/** Where a full stop does not end a sentence: what Intl.Segmenter (ICU's root rules) does not know. */

/** Abbreviations by language, lower case, with their full stops. `und` holds for every language. */
const ABBREVIATIONS: Record<string, string> = {
  und:
    "dr. prof. st. vs. no. nr. fig. vol. cf. ca. p. pp. ed. eds. op. al. approx. tel. max. min. resp.",
  en:
    `mr. mrs. ms. messrs. jr. sr. rev. gen. col. capt. lt. sgt. hon. gov. sen. rep. pres. mt. ft. e.g. i.e. eg. ie.
    viz. esp. dept. univ. assn. ave. blvd. rd. jan. feb. mar. apr. jun. jul. aug. sep. sept. oct. nov. dec. sec.
    chap. ch. art. ref. refs. eq. eqs. tab. pt. nos. incl. excl.`,
  de:
    `hr. fr. frl. dipl. ing. mag. bzw. z.b. d.h. u.a. u.u. o.ä. o.g. s.o. s.u. z.t. z.zt. i.d.r. i.a. v.a. evtl.
    ggf. inkl. exkl. vgl. abb. tab. kap. bd. s. str. jh. jhd. geb. gest. verh. ausg. aufl. sog. bspw. beispielsw. zzgl.
    abzgl. mind. mio. mrd. tsd. jan. feb. apr. aug. sept. okt. nov. dez. anm. hrsg. usf. bes. dt. engl. franz. lat. allg.
    einschl. entspr. gegr. ehem. insb. urspr. fa. co. med. phil. rer. nat. jur.`,
  fr:
    `m. mm. mme. mmes. mlle. mlles. me. mgr. dr. pr. ex. p.ex. c.-à-d. env. éd. chap. art. av. bd. fig. janv. févr. avr.
    juil. sept. oct. nov. déc. réf. tél. hab. par. cf. n. vol.`,
  es:
    `sr. sra. sres. srta. d. dña. ud. uds. vd. vds. dra. dres. prof. profa. lic. ing. arq. gral. pág. págs. cap. art.
    núm. ej. p.ej. aprox. avda. c. cía. dpto. ee. uu. ee.uu. fdo. gob. izq. dcha. tel. a.c. d.c. ene. feb. abr. jun. jul. ago.
    sept. oct. nov. dic. vol.`,
  it:
    `sig. sigg. sig.ra. dott. dott.ssa. prof.ssa. ing. avv. arch. rag. geom. on. pag. pagg. cap. art. es. ad.es. fig. ecc.
    gen. febbr. apr. giu. lug. ag. sett. ott. nov. dic.`,
  pt:
    `sr. sra. srs. sras. dra. profa. eng. exmo. exma. pág. págs. cap. art. núm. ex. p.ex. av. r. jan. fev. abr. jun. jul.
    ago. set. out. nov. dez. aprox.`,
  nl:
    `dhr. mevr. mw. mr. drs. ir. ing. bijv. bv. d.w.z. o.a. m.b.t. i.v.m. t.o.v. blz. art. afb. hfst. enz. incl. excl.`,
  pl:
    `np. tj. tzn. m.in. ul. al. pl. os. prof. mgr. inż. hab. św. im. godz. tys. mln. mld. str. rozdz. rys. wg. ok.`,
  sv: `t.ex. bl.a. d.v.s. dvs. m.m. s.k. kap. sid. jfr. ca. ung. inkl. exkl.`,
  ru:
    `т.е. т.д. т.п. т.к. т.н. г. гг. в. вв. ул. д. стр. рис. табл. гл. см. ср. напр. др. пр. руб. коп. тыс. млн. млрд. им.`,
};

/** Languages that write ordinal numbers, and so dates, with a full stop: 3. Oktober. */
const ORDINAL_STOP = new Set(
  "de lb da nb nn fo is fi et lv lt cs sk sl hr bs sr pl hu tr".split(" "),
);

const cache = new Map<string, Set<string>>();

function abbreviationsOf(language: string): Set<string> {
  let set = cache.get(language);
  if (set === undefined) {
    const text = `${ABBREVIATIONS["und"]} ${ABBREVIATIONS[language] ?? ""}`;
    set = new Set(text.split(/\s+/).filter((word) => word !== ""));
    // Only languages of the table are kept, so that a client's codes cannot fill it.
    if (ABBREVIATIONS[language] !== undefined) cache.set(language, set);
  }
  return set;
}

const LAST_WORD = /[^\s"'([{«‹„“‘¿¡]+$/u;

/** How much of a sentence's end `goesOn` needs to see; a longer last word is no abbreviation. */
export const HEAD_UNITS = 24;

/**
 * Whether `head`, the last HEAD_UNITS or more of a sentence as the segmenter ended it, goes on in `tail`.
 * In doubt it does: a longer sentence is translated better than half of one.
 */
export function goesOn(head: string, tail: string, language: string): boolean {
  // A piece without a letter or digit ("?!", an emoji) is no sentence; one in lower case is no beginning.
  if (!/[\p{L}\p{N}]/u.test(tail) || /^[\p{Pi}\p{Ps}"']?\p{Ll}/u.test(tail)) return true;
  const word = LAST_WORD.exec(head)?.[0];
  if (word === undefined || !word.endsWith(".")) return false;
  // An initial, or letters that each have a stop: J. Smith, z. B., U.S.
  if (/^(?:\p{L}\.)+$/u.test(word)) return true;
  // A list's number, or an ordinal.
  if (/^\d{1,3}\.$/.test(word) && (head.trim() === word || ORDINAL_STOP.has(language))) return true;
  if (/^[IVXLC]+\.$/.test(word) && ORDINAL_STOP.has(language)) return true;
  return abbreviationsOf(language).has(word.toLowerCase());
}
