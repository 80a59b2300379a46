/** Sentences of the end-to-end benchmark: software and everyday prose, 5 to 30 words, written for this file. */
export const BENCH_SENTENCES: readonly string[] = [
  "The file could not be opened because another program is using it.",
  "Select the folder in which the new project should be created.",
  "You can change this setting later in the preferences of the application.",
  "If the connection is lost, the download continues where it stopped.",
  "Enter the name of the printer and click on the button below.",
  "This option shows hidden files and directories in the current view.",
  "The password must have at least eight characters, one of them a number.",
  "Do you really want to delete all messages from the selected account?",
  "The image was saved in a format that some older programs cannot read.",
  "Press any key to return to the main menu of the game.",
  "Update the list of packages before you install the new version.",
  "The server did not answer in time; please try again in a few minutes.",
  "Each user has a home directory that nobody else is allowed to read.",
  "A new window opens with a list of all documents that were used recently.",
  "The command prints one line for each file that matches the given pattern.",
  "Before you start, make sure that the battery is charged and the cable is connected.",
];
