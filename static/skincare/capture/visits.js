/* Whether the screen that asked is still shown: what arrives after it was left belongs on no screen, and to no other patient. */
let number = 0;

/** Another screen comes, or the lock. */
export function leave() { number += 1; }

/** Call it before waiting: what it gives says whether the same visit of the screen still lasts. */
export function visit() {
  const mine = number;
  return () => mine === number;
}
