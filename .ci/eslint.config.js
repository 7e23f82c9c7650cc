import { fileURLToPath } from "node:url";
import js from "@eslint/js";
import tsdoc from "eslint-plugin-tsdoc";
import tseslint from "typescript-eslint";

const root = fileURLToPath(new URL("..", import.meta.url));

export default tseslint.config(
  { basePath: root, ignores: ["dist/**", "**/*.mjs", "**/*.js"] },
  {
    basePath: root,
    files: ["src/**/*.ts", "test/**/*.ts", "bench/**/*.ts"],
    extends: [js.configs.recommended, tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    plugins: { tsdoc },
    languageOptions: { parserOptions: { project: ["test/tsconfig.json"], tsconfigRootDir: root } },
    rules: {
      "tsdoc/syntax": "error",
      "no-restricted-exports": ["error", { restrictDefaultExports: { direct: true, named: true, defaultFrom: true } }],
      "no-restricted-syntax": [
        "error",
        { selector: "CallExpression[callee.property.name='pipe']", message: "pipeline or a generator, never .pipe()" },
      ],
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      "@typescript-eslint/consistent-type-definitions": ["error", "interface"],
      "@typescript-eslint/no-non-null-assertion": "error",
    },
  },
  {
    basePath: root,
    files: ["test/vitest.config.ts"],
    rules: { "no-restricted-exports": "off" },
  },
);
