/**
 * The 202 languages of FLORES-200 and NLLB, one a line: FLORES code | code used by clients | English name | other codes.
 * The client's code is ISO 639-1 where there is one (LibreTranslate's and BCP 47's choice), else ISO 639-3; a script is
 * added where one code would mean two lines. `zt` and `pb` are LibreTranslate's older names.
 */
export const LANGUAGE_TABLE = `
ace_Arab|ace-Arab|Acehnese (Arabic)
ace_Latn|ace|Acehnese|ace-Latn
acm_Arab|acm|Mesopotamian Arabic
acq_Arab|acq|Ta'izzi-Adeni Arabic
aeb_Arab|aeb|Tunisian Arabic
afr_Latn|af|Afrikaans
ajp_Arab|ajp|South Levantine Arabic
aka_Latn|ak|Akan
als_Latn|sq|Albanian|sqi
amh_Ethi|am|Amharic
apc_Arab|apc|North Levantine Arabic
arb_Arab|ar|Arabic|ara
ars_Arab|ars|Najdi Arabic
ary_Arab|ary|Moroccan Arabic
arz_Arab|arz|Egyptian Arabic
asm_Beng|as|Assamese
ast_Latn|ast|Asturian
awa_Deva|awa|Awadhi
ayr_Latn|ay|Aymara|aym
azb_Arab|azb|South Azerbaijani|az-Arab
azj_Latn|az|Azerbaijani|aze
bak_Cyrl|ba|Bashkir
bam_Latn|bm|Bambara
ban_Latn|ban|Balinese
bel_Cyrl|be|Belarusian
bem_Latn|bem|Bemba
ben_Beng|bn|Bengali
bho_Deva|bho|Bhojpuri
bjn_Arab|bjn-Arab|Banjar (Arabic)
bjn_Latn|bjn|Banjar|bjn-Latn
bod_Tibt|bo|Tibetan
bos_Latn|bs|Bosnian
bug_Latn|bug|Buginese
bul_Cyrl|bg|Bulgarian
cat_Latn|ca|Catalan
ceb_Latn|ceb|Cebuano
ces_Latn|cs|Czech
cjk_Latn|cjk|Chokwe
ckb_Arab|ckb|Central Kurdish|ku-Arab
crh_Latn|crh|Crimean Tatar
cym_Latn|cy|Welsh
dan_Latn|da|Danish
deu_Latn|de|German|ger
dik_Latn|dik|Dinka|din
dyu_Latn|dyu|Dyula
dzo_Tibt|dz|Dzongkha
ell_Grek|el|Greek|gre
eng_Latn|en|English
epo_Latn|eo|Esperanto
est_Latn|et|Estonian|ekk
eus_Latn|eu|Basque
ewe_Latn|ee|Ewe
fao_Latn|fo|Faroese
fij_Latn|fj|Fijian
fin_Latn|fi|Finnish
fon_Latn|fon|Fon
fra_Latn|fr|French|fre
fur_Latn|fur|Friulian
fuv_Latn|fuv|Nigerian Fulfulde|ff ful
gaz_Latn|om|Oromo|orm
gla_Latn|gd|Scottish Gaelic
gle_Latn|ga|Irish
glg_Latn|gl|Galician
grn_Latn|gn|Guarani
guj_Gujr|gu|Gujarati
hat_Latn|ht|Haitian Creole
hau_Latn|ha|Hausa
heb_Hebr|he|Hebrew|iw
hin_Deva|hi|Hindi
hne_Deva|hne|Chhattisgarhi
hrv_Latn|hr|Croatian
hun_Latn|hu|Hungarian
hye_Armn|hy|Armenian
ibo_Latn|ig|Igbo
ilo_Latn|ilo|Iloko
ind_Latn|id|Indonesian|in
isl_Latn|is|Icelandic
ita_Latn|it|Italian
jav_Latn|jv|Javanese|jw
jpn_Jpan|ja|Japanese
kab_Latn|kab|Kabyle
kac_Latn|kac|Jingpho
kam_Latn|kam|Kamba
kan_Knda|kn|Kannada
kas_Arab|ks|Kashmiri|ks-Arab
kas_Deva|ks-Deva|Kashmiri (Devanagari)
kat_Geor|ka|Georgian
kaz_Cyrl|kk|Kazakh
kbp_Latn|kbp|Kabiye
kea_Latn|kea|Kabuverdianu
khk_Cyrl|mn|Mongolian|mon
khm_Khmr|km|Khmer
kik_Latn|ki|Kikuyu
kin_Latn|rw|Kinyarwanda
kir_Cyrl|ky|Kyrgyz
kmb_Latn|kmb|Kimbundu
kmr_Latn|ku|Northern Kurdish|kur
knc_Arab|kr-Arab|Central Kanuri (Arabic)
knc_Latn|kr|Central Kanuri|kau
kon_Latn|kg|Kikongo
kor_Hang|ko|Korean
lao_Laoo|lo|Lao
lij_Latn|lij|Ligurian
lim_Latn|li|Limburgish
lin_Latn|ln|Lingala
lit_Latn|lt|Lithuanian
lmo_Latn|lmo|Lombard
ltg_Latn|ltg|Latgalian
ltz_Latn|lb|Luxembourgish
lua_Latn|lua|Luba-Kasai
lug_Latn|lg|Ganda
luo_Latn|luo|Luo
lus_Latn|lus|Mizo
lvs_Latn|lv|Latvian|lav
mag_Deva|mag|Magahi
mai_Deva|mai|Maithili
mal_Mlym|ml|Malayalam
mar_Deva|mr|Marathi
min_Latn|min|Minangkabau
mkd_Cyrl|mk|Macedonian
mlt_Latn|mt|Maltese
mni_Beng|mni|Meitei
mos_Latn|mos|Mossi
mri_Latn|mi|Maori
mya_Mymr|my|Burmese
nld_Latn|nl|Dutch|dut
nno_Latn|nn|Norwegian Nynorsk
nob_Latn|nb|Norwegian Bokmål|no nor
npi_Deva|ne|Nepali|nep
nso_Latn|nso|Northern Sotho
nus_Latn|nus|Nuer
nya_Latn|ny|Nyanja
oci_Latn|oc|Occitan
ory_Orya|or|Odia|ori
pag_Latn|pag|Pangasinan
pan_Guru|pa|Punjabi
pap_Latn|pap|Papiamento
pbt_Arab|ps|Pashto|pus
pes_Arab|fa|Persian|fas per
plt_Latn|mg|Malagasy|mlg
pol_Latn|pl|Polish
por_Latn|pt|Portuguese|pt-BR pb
prs_Arab|prs|Dari|fa-AF
quy_Latn|qu|Quechua|que
ron_Latn|ro|Romanian|mo
run_Latn|rn|Rundi
rus_Cyrl|ru|Russian
sag_Latn|sg|Sango
san_Deva|sa|Sanskrit
sat_Beng|sat|Santali|sat_Olck
scn_Latn|scn|Sicilian
shn_Mymr|shn|Shan
sin_Sinh|si|Sinhala
slk_Latn|sk|Slovak
slv_Latn|sl|Slovenian
smo_Latn|sm|Samoan
sna_Latn|sn|Shona
snd_Arab|sd|Sindhi
som_Latn|so|Somali
sot_Latn|st|Southern Sotho
spa_Latn|es|Spanish
srd_Latn|sc|Sardinian
srp_Cyrl|sr|Serbian
ssw_Latn|ss|Swati
sun_Latn|su|Sundanese
swe_Latn|sv|Swedish
swh_Latn|sw|Swahili|swa
szl_Latn|szl|Silesian
tam_Taml|ta|Tamil
taq_Latn|taq|Tamasheq|taq-Latn
taq_Tfng|taq-Tfng|Tamasheq (Tifinagh)
tat_Cyrl|tt|Tatar
tel_Telu|te|Telugu
tgk_Cyrl|tg|Tajik
tgl_Latn|tl|Tagalog|fil
tha_Thai|th|Thai
tir_Ethi|ti|Tigrinya
tpi_Latn|tpi|Tok Pisin
tsn_Latn|tn|Tswana
tso_Latn|ts|Tsonga
tuk_Latn|tk|Turkmen
tum_Latn|tum|Tumbuka
tur_Latn|tr|Turkish
twi_Latn|tw|Twi
tzm_Tfng|tzm|Central Atlas Tamazight
uig_Arab|ug|Uyghur
ukr_Cyrl|uk|Ukrainian
umb_Latn|umb|Umbundu
urd_Arab|ur|Urdu
uzn_Latn|uz|Uzbek|uzb
vec_Latn|vec|Venetian
vie_Latn|vi|Vietnamese
war_Latn|war|Waray
wol_Latn|wo|Wolof
xho_Latn|xh|Xhosa
ydd_Hebr|yi|Yiddish|yid
yor_Latn|yo|Yoruba
yue_Hant|yue|Cantonese|zh-yue
zho_Hans|zh-Hans|Chinese|zh zh-CN zh-SG zho chi cmn
zho_Hant|zh-Hant|Chinese (traditional)|zt zh-TW zh-HK zh-MO
zsm_Latn|ms|Malay|msa
zul_Latn|zu|Zulu
`;
