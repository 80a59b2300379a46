/** Plural rules of gettext catalogues by language: what a template's header is filled with. */

const TWO = "nplurals=2; plural=(n != 1);", TWO_ABOVE_ONE = "nplurals=2; plural=(n > 1);";
const ONE = "nplurals=1; plural=0;";
const EAST_SLAVIC = "nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : n%10>=2 && n%10<=4 && " +
  "(n%100<12 || n%100>14) ? 1 : 2);";

const RULES: readonly (readonly [string, string])[] = [
  ["fr pt-BR tr wo oc ln ti am hy fa tg", TWO_ABOVE_ONE],
  ["ja zh zh-Hans zh-Hant yue ko vi th id ms lo my km bo dz jv su", ONE],
  ["ru uk be sr hr bs", EAST_SLAVIC],
  [
    "pl",
    "nplurals=3; plural=(n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<12 || n%100>14) ? 1 : 2);",
  ],
  ["cs sk", "nplurals=3; plural=(n==1) ? 0 : (n>=2 && n<=4) ? 1 : 2;"],
  ["ro", "nplurals=3; plural=(n==1 ? 0 : (n==0 || (n%100>0 && n%100<20)) ? 1 : 2);"],
  [
    "lt",
    "nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : n%10>=2 && (n%100<10 || n%100>=20) ? 1 : 2);",
  ],
  ["lv", "nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : n != 0 ? 1 : 2);"],
  ["sl", "nplurals=4; plural=(n%100==1 ? 0 : n%100==2 ? 1 : n%100==3 || n%100==4 ? 2 : 3);"],
  ["ga", "nplurals=5; plural=(n==1 ? 0 : n==2 ? 1 : n<7 ? 2 : n<11 ? 3 : 4);"],
  ["cy", "nplurals=4; plural=(n==1) ? 0 : (n==2) ? 1 : (n != 8 && n != 11) ? 2 : 3;"],
  [
    "mt",
    "nplurals=4; plural=(n==1 ? 0 : n==0 || (n%100>1 && n%100<11) ? 1 : n%100>10 && n%100<20 ? 2 : 3);",
  ],
  [
    "ar",
    "nplurals=6; plural=(n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : n%100>=11 ? 4 : 5);",
  ],
];

/** The Plural-Forms of a language by its BCP 47 code; most have two forms. */
export function pluralForms(code: string): string {
  return RULES.find(([codes]) => codes.split(" ").includes(code))?.[1] ?? TWO;
}
